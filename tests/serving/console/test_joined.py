"""The pages over real records, artifacts and trainings: what was decided is what is shown."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update

from feature_store.datasets import Limits
from governance.access import Access, Role, create_key, hash_key, revoke_key
from governance.ledger.receipt import Signer
from governance.ledger.tables import records
from models.artifact import ModelArtifact
from serving.api.schemas import CUSTOM_EXAMPLE
from serving.console.app import create_console
from serving.console.joined.accounts import StoredAccounts
from serving.console.joined.cards import Cards
from serving.console.joined.decisions import RecordedDecisions
from serving.console.joined.wire import join
from serving.console.logins import create_login_token
from serving.console.ports import DecisionFilters


@pytest.fixture(scope="session")
def models_folder(artifacts: Mapping[str, ModelArtifact], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts as a home keeps them: by digest."""
    from models.artifact import artifact_folder, write_artifact

    folder = tmp_path_factory.mktemp("home-models")
    for artifact in artifacts.values():
        write_artifact(artifact_folder(folder, artifact.digest), artifact.contents)
    return folder


@pytest.fixture
def shown(service: Any, world: Any, models_folder: Path) -> Any:
    world.decisions = RecordedDecisions(service.reader, Cards(models_folder))
    return world


def decide(service: Any, body: Any, kind: str, key: str, **order: Any) -> Any:
    asked = body(**order) if kind != "parcel-late" else CUSTOM_EXAMPLE
    answer = service.decide(kind, asked, key=key)
    assert answer.status == 200, answer.content
    return answer.json


@pytest.mark.parametrize("kind", ["acceptance", "fraud", "split-order", "parcel-late"])
def test_a_real_decision_is_shown_as_it_was_answered(
    service: Any, shown: Any, make_browser: Any, body: Callable[..., Any], kind: str
) -> None:
    told = decide(service, body, kind, "k")
    text = make_browser(shown).login("auditor").get(told["links"]["page"]).text
    flat = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))
    assert told["receipt"]["leaf_hash"] in flat
    assert told["model"]["digest"] in flat
    facts = shown.decisions.get(told["decision_id"])
    assert facts.base + sum(feature.contribution or 0 for feature in facts.features) == pytest.approx(facts.margin, abs=1e-9)
    assert len(facts.features) == len({feature.name for feature in facts.features})
    assert text.count('<tr><th scope="row">') >= len(facts.features)
    for reason in told["reasons"]:
        assert reason["code"] in flat
    if told["confidence"]:
        assert "interval" in flat


def test_values_are_written_as_the_artifact_says_and_fall_back_without_it(
    service: Any, world: Any, models_folder: Path, tmp_path: Path, body: Callable[..., Any]
) -> None:
    told = decide(service, body, "parcel-late", "k")
    by_name = {one.name: one for one in RecordedDecisions(service.reader, Cards(models_folder)).get(told["decision_id"]).features}  # type: ignore[union-attr]
    assert by_name["carrier"].value_text == {"en": "Jade Express", "zh": "Jade Express"}
    bare = {one.name: one for one in RecordedDecisions(service.reader, Cards(tmp_path)).get(told["decision_id"]).features}  # type: ignore[union-attr]
    assert bare["carrier"].value_text is None
    assert bare["carrier"].label["en"] == "carrier"


def test_an_order_tells_its_decisions_in_order(service: Any, shown: Any, make_browser: Any, body: Callable[..., Any]) -> None:
    answer = service.decide("orders", body(order_id="SO-77"))
    assert answer.status == 200, answer.content
    browser = make_browser(shown).login("auditor")
    page = browser.get("/console/orders/SO-77")
    assert page.status_code == 200, page.text
    assert page.text.count('<p class="kind">') == 4
    whole = browser.get(answer.json["links"]["page"])
    assert whole.status_code == 200
    assert "Whole order" in whole.text


def test_the_list_pages_through_real_records(service: Any, shown: Any, make_browser: Any, body: Callable[..., Any]) -> None:
    for number in range(53):
        decide(service, body, "fraud", f"k{number}", order_id=f"SO-{number}")
    browser = make_browser(shown).login("auditor")
    first = browser.get("/console/decisions?type=fraud").text
    assert first.count('<td class="what">') == 50
    address = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    second = browser.get(address).text
    assert second.count('<td class="what">') == 3
    other = browser.get(address.replace("type=fraud", "type=acceptance")).text
    assert "no longer exists" in other, "a cursor belongs to its filters"


def test_a_damaged_record_says_so_instead_of_something_else(service: Any, shown: Any, make_browser: Any, body: Callable[..., Any]) -> None:
    told = decide(service, body, "fraud", "k")
    with service.engine.begin() as connection:
        connection.execute(update(records).where(records.c.record_id == told["decision_id"]).values(body=b"damaged"))
    answer = make_browser(shown).login("auditor").get(told["links"]["page"])
    assert answer.status_code == 500
    assert "is damaged" in answer.text
    assert "ordinance verify" in answer.text


def test_a_swapped_card_is_not_believed(artifacts: Mapping[str, ModelArtifact], models_folder: Path, tmp_path: Path) -> None:
    import shutil

    digest = artifacts["fraud"].digest
    copy = tmp_path / "sha256" / digest[7:]
    shutil.copytree(models_folder / "sha256" / digest[7:], copy)
    assert Cards(tmp_path).find(digest) is not None
    (copy / "card.json").write_text((copy / "card.json").read_text().replace("0.5", "0.6"))
    assert Cards(tmp_path).find(digest) is None
    assert Cards(tmp_path).find("sha256:../../etc") is None
    assert Cards(tmp_path).find("sha256:" + "é" * 64) is None
    assert Cards(tmp_path).find(None) is None


def test_a_swapped_model_is_not_believed_though_the_manifest_agrees(
    artifacts: Mapping[str, ModelArtifact], models_folder: Path, tmp_path: Path
) -> None:
    import hashlib
    import json
    import shutil

    digest = artifacts["parcel-late"].digest
    copy = tmp_path / "sha256" / digest[7:]
    shutil.copytree(models_folder / "sha256" / digest[7:], copy)
    cards = Cards(tmp_path)
    assert cards.drivers(digest)
    swapped = (copy / "model.txt").read_bytes() + b"\n"
    (copy / "model.txt").write_bytes(swapped)
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["files"]["model.txt"]["sha256"] = hashlib.sha256(swapped).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert cards.find(digest) is not None, "read before"
    assert cards.drivers(digest) == ()


def test_an_artifact_that_is_gone_costs_the_others_nothing(
    service: Any, artifacts: Mapping[str, ModelArtifact], models_folder: Path, tmp_path: Path, body: Callable[..., Any], monkeypatch: Any
) -> None:
    import shutil

    for key in "abc":
        decide(service, body, "parcel-late", key)
    digest, other = artifacts["parcel-late"].digest, artifacts["fraud"].digest
    shutil.copytree(models_folder / "sha256" / other[7:], tmp_path / "sha256" / other[7:])
    cards = Cards(tmp_path)
    kept = cards.find(other)
    asked: list[str] = []
    monkeypatch.setattr(cards, "_verified", _counted(cards._verified, asked))
    page = RecordedDecisions(service.reader, cards).search(DecisionFilters(), None, 50)
    assert [line.columns for line in page.lines] == [{}, {}, {}]
    assert asked == [digest], "once for a page"
    assert cards.find(other) is kept
    assert asked == [digest]
    shutil.copytree(models_folder / "sha256" / digest[7:], tmp_path / "sha256" / digest[7:])
    assert cards.find(digest) is not None, "it came back"


def _counted(read: Callable[..., bytes], asked: list[str]) -> Callable[..., bytes]:
    def count(digest: str, name: str) -> bytes:
        asked.append(digest)
        return read(digest, name)

    return count


def test_keys_and_links_open_real_sessions(engine: Engine) -> None:
    key = create_key(engine, Role.AUDITOR, "ana")
    accounts = StoredAccounts(engine, Access(engine, refresh_s=0))
    account = accounts.authenticate(key)
    assert account is not None
    assert (account.principal, account.role, account.key_hash) == ("ana", "auditor", hash_key(key))
    token = create_login_token(engine, "ana", "auditor")
    assert accounts.consume_login(token) is not None
    assert accounts.consume_login(token) is None
    assert accounts.still_valid(hash_key(key))
    revoke_key(engine, hash_key(key))
    assert not accounts.still_valid(hash_key(key))
    assert accounts.authenticate(key) is None


CSV = "day,country,weight,delivered,late\n" + "".join(
    f"2026-{1 + i // 100:02d}-{1 + i % 28:02d},{('NG', 'VN', 'KE')[i % 3]},{(i * 37) % 91},2026-{1 + i // 100:02d}-{1 + i % 28:02d},{int((i * 37) % 91 + 30 * (i % 3) > 80)}\n"
    for i in range(900)
)


@pytest.fixture
def home(sqlite_engine: Engine, tmp_path: Path) -> Iterator[Any]:
    """A console on a home of its own; a training runs in a thread as it would in a process."""
    from training.service import Workshop, publish, run_training

    signer = Signer("ordinance.test/log", b"s" * 32)
    workshop = Workshop(sqlite_engine, signer, tmp_path / "datasets", tmp_path / "models", tmp_path / "mlflow")
    threads: list[threading.Thread] = []

    def launch(training_id: str) -> None:
        threads.append(threading.Thread(target=run_training, args=(workshop, training_id)))
        threads[-1].start()

    def put_in_service(name: str, version: int, principal: str) -> None:
        publish(workshop, name, version, changed_by=principal, note="alone")

    for folder in (tmp_path / "keys", tmp_path / "mlflow"):
        folder.mkdir()
    wiring = join(
        sqlite_engine, keys=tmp_path / "keys", models=tmp_path / "models", datasets_folder=tmp_path / "datasets", launch=launch,
        publish=put_in_service, base_url="http://127.0.0.1:8000", limits=Limits(bytes=100_000),
    )  # fmt: skip
    yield wiring, threads
    for thread in threads:
        thread.join()


@pytest.mark.slow
def test_a_file_becomes_a_served_model_through_the_pages(home: Any, sqlite_engine: Engine, make_browser: Any, world: Any) -> None:
    wiring, threads = home
    browser = make_browser(world)
    browser.app = create_console(wiring)
    create_key(sqlite_engine, Role.TRAINER, "tom")
    assert browser.get(f"/console/login?token={create_login_token(sqlite_engine, 'tom', 'trainer')}").status_code == 200
    files = {"file": ("parcels.csv", CSV.encode())}
    sent = browser.send("POST", "/console/train/upload", data={"form_token": browser.token(), "template": "custom"}, files=files)
    assert sent.status_code == 303, sent.text
    page = browser.get(sent.headers["location"])
    assert page.status_code == 200, page.text
    assert 'class="histogram"' in page.text
    page = browser.get(sent.headers["location"] + "?target=late&time=day")
    assert '<button class="primary" type="submit">' in page.text, page.text
    fields = {"dataset_id": sent.headers["location"].rsplit("/", 1)[1], "template": "custom", "target": "late", "time": "day"}
    started = browser.post("/console/train/start", {**fields, "name": "parcel-late", "budget_s": "20", "form_token": browser.token()})
    assert started.status_code == 303, started.text
    run = started.headers["location"]
    events = browser.get(f"{run}/events").text  # ends when the training does
    assert "event: over" in events
    assert '"state":"done"' in events
    report = browser.get(run).text
    for part in ("How good it is", "Can its probabilities be believed?", "POST /v1/decisions/parcel-late", "Learnt from", "Publish"):
        assert part in report, part
    assert browser.post(f"{run}/publish", {"form_token": browser.token()}).status_code == 303
    assert "In service as champion" in browser.get(run).text
    models = browser.get("/console/models").text
    assert "champion" in models
    assert "parcel-late" in models
    for thread in threads:
        thread.join()


def test_a_file_that_cannot_be_used_says_where(home: Any, sqlite_engine: Engine, make_browser: Any, world: Any) -> None:
    wiring, _ = home
    browser = make_browser(world)
    browser.app = create_console(wiring)
    browser.headers["authorization"] = f"Bearer {create_key(sqlite_engine, Role.TRAINER, 'tom')}"
    ragged = browser.send("POST", "/v1/datasets?template=custom", content=b"a,b\n1,2\n1\n")
    assert ragged.status_code == 422
    assert ragged.json()["errors"][0]["row"] == 3
    large = browser.send("POST", "/v1/datasets?template=custom", content=b"a,b\n" * 50_000)
    assert large.status_code == 413
    empty = browser.send("POST", "/v1/datasets?template=custom", content=b"")
    assert empty.status_code == 422
    nothing = browser.send("POST", "/v1/trainings", json={"dataset_id": "none", "target": "late"})
    assert nothing.status_code == 422
    assert nothing.json()["errors"][0]["loc"] == ["dataset_id"]
    assert browser.get("/v1/models").json() == {"items": []}


def test_a_training_that_no_process_takes_is_told_as_failed(home: Any, sqlite_engine: Engine) -> None:
    from serving.console.joined.workbench import LocalWorkbench
    from serving.console.ports import Purpose, Refused, TrainingRequest

    wiring, _ = home
    upload = wiring.workbench.receive()
    upload.write(CSV.encode())
    dataset = upload.finish("parcels.csv", "custom", "tom")

    def broken(_training_id: str) -> None:
        raise RuntimeError("no process")

    bench = LocalWorkbench(sqlite_engine, wiring.workbench._folder, broken)
    with pytest.raises(Refused, match="could not be started") as caught:
        bench.start(TrainingRequest(dataset.dataset_id, Purpose("custom", "late"), None, 20), "tom")
    assert caught.value.problem.status == 503
    assert bench.trainings(1)[0].state == "failed"


def test_the_whole_order_says_what_its_parts_came_to(service: Any, shown: Any, make_browser: Any, body: Callable[..., Any]) -> None:
    answer = service.decide("orders", body(order_id="SO-78")).json
    text = make_browser(shown).login("auditor").get(answer["links"]["page"]).text
    headline = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text.split('<h1 id="verdict">')[1].split("</h1>")[0]))
    assert "May go ahead: nothing objected" in headline
    rests_on = text.split('<h2 id="parts">')[1].split("</section>")[0]
    for part in answer["decisions"].values():
        if "outcome" in part:
            assert part["outcome"].split("_")[0].lower() in rests_on.lower(), rests_on
            assert f"/console/decisions/{part['decision_id']}" in rests_on
    assert "No model was asked" not in text
    assert "→" in text


def test_drivers_are_the_gains_of_the_splits_by_column(artifacts: Mapping[str, ModelArtifact], models_folder: Path, tmp_path: Path) -> None:
    import shutil

    cards = Cards(models_folder)
    for kind in ("fraud", "parcel-late"):
        digest = artifacts[kind].digest
        drivers = cards.drivers(digest)
        assert sum(driver.share for driver in drivers) == pytest.approx(1)
        assert [driver.share for driver in drivers] == sorted((driver.share for driver in drivers), reverse=True)
        assert all(driver.label["en"] and driver.label["zh"] for driver in drivers)
    columns = {one.name for one in artifacts["parcel-late"].encoder.inputs}
    assert {driver.label["en"] for driver in cards.drivers(artifacts["parcel-late"].digest)} <= columns
    digest = artifacts["fraud"].digest
    copy = tmp_path / "sha256" / digest[7:]
    shutil.copytree(models_folder / "sha256" / digest[7:], copy)
    (copy / "model.txt").write_text((copy / "model.txt").read_text().replace("split_gain=", "split_gain=9"))
    assert Cards(tmp_path).drivers(digest) == (), "a swapped model is not believed"
    assert cards.drivers("sha256:" + "0" * 64) == ()
