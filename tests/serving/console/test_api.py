"""The JSON routes of datasets, trainings and models."""

from typing import Any

import pytest

from governance.access import MATRIX, ROUTES, Action, Role
from serving.console.door import action_of
from serving.errors import MEDIA_TYPE

CSV = b"late,price\n1,2\n"
MINE = ("/v1/features", "/v1/datasets", "/v1/trainings", "/v1/models")


@pytest.fixture
def api(browser: Any) -> Any:
    browser.headers = {"authorization": "Bearer ord_trainer_key"}
    return browser


def start(api: Any, **more: Any) -> Any:
    dataset = api.send("POST", "/v1/datasets?template=custom&name=a.csv", content=CSV).json()
    return api.send("POST", "/v1/trainings", json={"dataset_id": dataset["dataset_id"], "target": "late", "name": "scms-late", **more})


def test_a_dataset_is_taken_as_the_body(world: Any, api: Any) -> None:
    answer = api.send("POST", "/v1/datasets?template=custom&name=orders.csv", content=CSV)
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"dataset_id", "sha256", "rows", "report"}
    assert body["report"]["columns"][0]["name"] == "late"
    assert world.workbench.files[body["dataset_id"]].uploaded_by == "local-trainer"


def test_a_dataset_that_is_no_table_is_a_problem_with_row_and_column(api: Any) -> None:
    answer = api.send("POST", "/v1/datasets?template=custom", content=b"nothing")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == MEDIA_TYPE
    error = answer.json()["errors"][0]
    assert (error["row"], error["column"]) == (7, "price")


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/v1/datasets?template=none", CSV, 422),
        ("/v1/datasets?template=custom", b"a,b\n" * 100_000, 413),
        ("/v1/datasets?name=" + "n" * 300, CSV, 422),
    ],
)
def test_datasets_refuse_with_problem_details(api: Any, path: str, content: bytes, status: int) -> None:
    answer = api.send("POST", path, content=content)
    assert answer.status_code == status
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["status"] == status


def test_a_body_without_a_length_is_counted_while_it_arrives(world: Any, api: Any) -> None:
    async def endless() -> Any:
        while True:
            yield b"a,b\n" * 10_000

    answer = api.send("POST", "/v1/datasets?template=custom", content=endless())
    assert answer.status_code == 413
    assert world.workbench.files == {}


def test_a_training_is_started_watched_and_stopped(world: Any, api: Any) -> None:
    answer = start(api)
    assert answer.status_code == 202
    training_id = answer.json()["training_id"]
    assert answer.headers["location"] == f"/v1/trainings/{training_id}"
    world.workbench.say(training_id, "tuning", 0.4, "Trial 6")
    shown = api.get(f"/v1/trainings/{training_id}").json()
    assert (shown["state"], shown["progress"]["share"], shown["report"]) == ("running", 0.4, None)
    assert api.send("DELETE", f"/v1/trainings/{training_id}").json()["state"] == "cancelled"
    again = api.send("DELETE", f"/v1/trainings/{training_id}")
    assert again.status_code == 409
    assert "cancelled" in again.json()["detail"]


def test_events_go_on_after_the_last_one_seen(world: Any, api: Any) -> None:
    training_id = start(api).json()["training_id"]
    for step in range(4):
        world.workbench.say(training_id, "tuning", step / 4, f"Trial {step}")
    world.workbench.finish(training_id)
    text = api.get(f"/v1/trainings/{training_id}/events", headers={"last-event-id": "1"}).text
    assert [line for line in text.splitlines() if line.startswith("id: ")] == ["id: 2", "id: 3"]
    assert text.rstrip().split("\n\n")[-1].startswith("event: over")


@pytest.mark.parametrize(
    "body", [{}, {"dataset_id": "d"}, {"dataset_id": "d", "budget_s": 0, "target": "t"}, {"dataset_id": "d", "surprise": 1}]
)
def test_a_training_that_makes_no_sense_names_the_place(api: Any, body: dict[str, Any]) -> None:
    answer = api.send("POST", "/v1/trainings", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["errors"][0]["loc"]


def test_unknown_things_are_404(api: Any) -> None:
    for path in ("/v1/trainings/none", "/v1/trainings/none/events", "/v1/models/none/versions/1", "/v1/nowhere"):
        answer = api.get(path)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == MEDIA_TYPE, path


def test_models_are_listed_and_shown(api: Any) -> None:
    items = api.get("/v1/models").json()["items"]
    assert {(item["name"], item["version"], tuple(item["aliases"])) for item in items} == {
        ("acceptance", 3, ("champion",)),
        ("scms-late", 1, ()),
    }
    one = api.get("/v1/models/scms-late/versions/1").json()
    assert one["request_schema"]["properties"] == {"Country": {"type": "string"}}
    assert one["report"]["card"]["evaluation"]["metrics"]["auc"]["value"] == 0.871


def test_without_a_key_or_with_a_wrong_one_401(browser: Any) -> None:
    for headers in ({}, {"authorization": "Bearer guess"}, {"authorization": "Basic b3Jk"}, {"authorization": "Bearer "}):
        answer = browser.get("/v1/models", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("role", ["oms", "auditor", "trainer", "admin", "reviewer"])
def test_role_by_route_as_the_matrix_says(world: Any, browser: Any, role: str) -> None:
    """Every route of ours in the access table is there, and lets in whom the table lets in."""
    browser.headers = {"authorization": f"Bearer ord_{role}_key"}
    walked = 0
    for route in ROUTES:
        if not route.path.startswith(MINE) or route.path.endswith(("submit", "rollout", "rollback")):
            continue
        path = route.path.replace("{id}", "none").replace("{name}", "none").replace("{v}", "1")
        more: dict[str, Any] = {"json": {"dataset_id": "d", "target": "t"}} if route.path == "/v1/trainings" else {}
        status = browser.send(route.method, path, **more).status_code
        assert (status == 403) == (Role(role) not in MATRIX[route.action or Action.CONSULT]), route
        assert status != 405, route
        walked += 1
    assert walked == 8


@pytest.mark.parametrize("path", ["/v1/models", "/console/login", "/console/decisions"])
def test_a_method_that_is_not_served_is_told_which_is(browser: Any, path: str) -> None:
    answer = browser.send("PUT", path)
    assert (answer.status_code, "GET" in answer.headers["allow"]) == (405, True)


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("POST", "/v1/trainings", "oms"),
        ("POST", "/v1/lists", "trainer"),
        ("POST", "/v1/killswitch", "trainer"),
        ("POST", "/v1/approvals/none", "admin"),
        ("POST", "/v1/policies/fraud/rollout", "trainer"),
        ("POST", "/v1/outcomes", "trainer"),
        ("GET", "/v1/reviews?limit=none", "trainer"),
    ],
)
def test_who_may_not_ask_learns_nothing_of_what_is_wrong_with_the_request(browser: Any, method: str, path: str, role: str) -> None:
    for headers, status in (({}, 401), ({"authorization": f"Bearer ord_{role}_key"}, 403)):
        answer = browser.send(method, path, headers=headers, **({"content": b"{"} if method == "POST" else {}))
        assert answer.status_code == status, (path, answer.text)
        assert answer.json()["status"] == status


def test_the_table_of_routes_tells_what_a_path_asks_for() -> None:
    assert action_of("HEAD", "/v1/models") == Action.CONSULT
    assert action_of("GET", "/v1/reviews/reasons") == Action.REVIEW
    assert action_of("DELETE", "/v1/lists/one") == Action.WRITE_POLICY
    assert action_of("GET", "/v1/ledger/tile/0/000") is None
    assert action_of("GET", "/v1/nowhere") is None


@pytest.mark.parametrize(
    ("content", "status", "loc"),
    [
        (b"{", 400, ["body"]),
        (b"\xff", 400, ["body"]),
        (b'{"name": NaN}', 400, ["body"]),
        (b'"\\ud800"', 400, ["body"]),
        (b"[" * 100_000, 400, ["body"]),
        (b'{"a":' * 500 + b"1" + b"}" * 500, 422, ["body"]),
        (b"[]", 422, ["body"]),
        (b"", 422, ["body"]),
        (b"null", 422, ["body"]),
        (b'{"dataset_id": "d", "name": "a\\u0000"}', 422, ["name"]),
    ],
)
def test_a_body_that_nobody_can_read_is_refused_as_everywhere(api: Any, content: bytes, status: int, loc: list[str]) -> None:
    answer = api.send("POST", "/v1/trainings", content=content)
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (status, loc)
    assert "logged" not in answer.json()["detail"]


def test_a_body_may_be_large_but_not_without_end(api: Any) -> None:
    assert api.send("POST", "/v1/trainings", content=b" " * (5 * 2**20)).status_code == 413


def test_a_body_is_json_whatever_its_media_type_says(api: Any) -> None:
    dataset = api.send("POST", "/v1/datasets?template=custom&name=a.csv", content=CSV).json()
    asked = f'{{"dataset_id": "{dataset["dataset_id"]}", "target": "late", "name": "late"}}'.encode()
    for media in ("text/plain", "application/x-www-form-urlencoded"):
        assert api.send("POST", "/v1/trainings", content=asked, headers={"content-type": media}).status_code == 202


@pytest.mark.parametrize("path", ["/v1/models/a%00/versions/1", "/v1/trainings/a%00", "/v1/features?name=a%00"])
def test_no_address_holds_what_no_database_keeps(api: Any, path: str) -> None:
    assert api.get(path).status_code == 422


def test_a_version_beyond_every_database_is_no_failure_of_ours(api: Any) -> None:
    answer = api.get(f"/v1/models/acceptance/versions/{10**20}")
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["path", "version"])
