"""The pages about features and health, and the route beside them."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import Any

import pytest

from feature_store.backfill import Progress, Standing
from feature_store.retention import Forgotten
from feature_store.times import DAY, HOUR, MINUTE
from feature_store.views import SERVICES
from serving.api.look_schemas import FeaturesAnswer
from serving.console.catalogue.watching import TEXTS
from serving.console.watching import MANY_EVENTS, HealthFacts, ReplicaFacts
from serving.expiry import Run
from tests.serving.console.examples import NOW
from tests.serving.console.watched import COLUMNS, EQUAL, MODELS, ODD, WELL, book, checked

ALL = sum(len(service.features) for service in SERVICES.values())


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", text))).replace("\u00a0", " ")


def part(text: str, name: str) -> str:
    """One part of the health page, flat."""
    return flat(re.search(rf'<li id="{name}".*?(?=<li id="|</main>)', text, re.DOTALL)[0])  # type: ignore[index]


def test_every_feature_is_on_the_page_with_all_that_defines_it(browser: Any) -> None:
    text = browser.login("trainer").get("/console/features").text
    told = flat(text)
    assert f"{ALL} of {ALL} features" in told
    for kind, service in SERVICES.items():
        assert service.view_version in told
        for feature in service.features:
            row = flat(re.search(rf'<li id="{kind}-{feature.name}">.*?</details>', text, re.DOTALL)[0])  # type: ignore[index]
            assert feature.name in row
            assert feature.en.lower()[1:] in row.lower().replace("−", "-"), feature.name
            assert feature.version in row
            assert feature.reason in row
            assert all(kind.value in row for kind in feature.source_events)


def test_the_list_is_narrowed_by_type_entity_and_words(browser: Any) -> None:
    browser.login("auditor")
    fraud = browser.get("/console/features?type=fraud").text
    assert set(re.findall(r'<li id="(fraud|acceptance|split-order)-', fraud)) == {"fraud"}
    about = browser.get("/console/features?entity=supplier&q=%20Delay ").text
    rows = [flat(row) for row in re.findall(r'<li id="(?:fraud|acceptance|split-order)-\w+">.*?</details>', about, re.DOTALL)]
    assert rows
    assert all("delay" in row.lower() for row in rows)
    assert 'value="Delay"' in about
    assert '<option value="supplier" selected>Supplier</option>' in about
    evil = browser.get('/console/features?q="><script>alert(1)</script>')
    assert "<script>alert" not in evil.text
    assert "No feature fits" in evil.text


def test_a_feature_is_told_in_the_reader_s_words(browser: Any) -> None:
    browser.login("auditor").headers["accept-language"] = "zh"
    text = flat(browser.get("/console/features?type=acceptance&q=customer_return").text)
    assert "客户" in text
    assert "回看窗口" in text
    assert "None" not in text


def test_persons_are_not_shown_while_there_are_few_decisions(world: Any, browser: Any) -> None:
    world.features.told = book(decisions=5)
    text = flat(browser.login("auditor").get("/console/features?type=fraud&entity=customer").text)
    assert "Shown from 20 decisions on, as it speaks of persons" in text


def test_without_decisions_definitions_are_shown_alone(world: Any, browser: Any) -> None:
    world.features.told = book(decisions=0)
    text = browser.login("auditor").get("/console/features").text
    assert "No decision has used these definitions yet" in text
    assert 'class="histogram"' not in text
    assert f"{ALL} of {ALL} features" in text


def test_bars_and_the_usual_value_lie_inside_the_drawing(browser: Any) -> None:
    text = browser.login("auditor").get("/console/features").text
    drawings = re.findall(r'<svg class="histogram".*?</svg>', text)
    assert len(drawings) > ALL / 2
    for drawing in drawings:
        for x, y, width, height in re.findall(r'<rect x="([\d.]+)%" y="([\d.]+)%" width="([\d.]+)%" height="([\d.]+)%"', drawing):
            assert float(x) + float(width) <= 100.01
            assert float(y) + float(height) == pytest.approx(100, abs=0.02)
        for x in re.findall(r'x1="([\d.]+)%"', drawing):
            assert 0 <= float(x) <= 100


def test_the_route_tells_what_the_page_tells(browser: Any) -> None:
    browser.headers = {"authorization": "Bearer ord_trainer_key"}
    answer = browser.get("/v1/features")
    assert answer.status_code == 200
    told = FeaturesAnswer.model_validate(answer.json(), strict=False)
    assert len(told.items) == ALL
    for item in told.items:
        feature = SERVICES[item.type].feature(item.name)
        assert (item.version, item.window, item.personal) == (feature.version, feature.window, feature.personal)
        assert item.live is not None
    narrowed = browser.get("/v1/features?type=fraud&entity=customer&q=orders").json()["items"]
    assert narrowed
    assert all(item["type"] == "fraud" and "customer" in item["entities"] for item in narrowed)
    assert browser.get(f"/v1/features?q={'x' * 200}").status_code == 422


def test_the_columns_of_custom_types_are_there_too(world: Any, browser: Any) -> None:
    world.features.told = replace(book(), columns=COLUMNS)
    text = browser.login("trainer").get("/console/features").text
    assert f"{ALL + 3} of {ALL + 3} features" in flat(text)
    assert "Vendor <b>" not in text
    group = flat(text.split('id="type-scms-late"')[1])
    for words in (
        "as scms-late version 2 learnt them",
        "Freight Cost",
        "usual in training: 12.5",
        "Vendor <b>",
        "A&B, C",
        "PO Date · month (3)",
    ):
        assert words in group
    only = browser.get("/console/features?type=scms-late&q=VENDOR").text
    assert "1 of" in flat(only)
    assert set(re.findall(r'<h2 id="type-([\w-]+)"', only)) == {"scms-late"}
    assert 'id="type-scms-late"' not in browser.get("/console/features?entity=customer").text
    assert 'id="type-scms-late"' in browser.get("/console/features?entity=request").text
    browser.headers["accept-language"] = "zh"
    assert "请求中的一列" in browser.get("/console/features?type=scms-late").text


def test_the_route_tells_the_columns_of_custom_types(world: Any, browser: Any) -> None:
    world.features.told = replace(book(), columns=COLUMNS)
    browser.headers = {"authorization": "Bearer ord_trainer_key"}
    told = FeaturesAnswer.model_validate(browser.get("/v1/features?type=scms-late").json(), strict=False)
    assert told.items == []
    freight, vendor, ordered = told.columns
    assert (freight.column, freight.kind, freight.required, freight.model.version) == ("Freight Cost", "number", True, 2)
    assert (freight.features[0].usual, freight.features[0].reason) == (12.5, "FREIGHT_COST")
    assert (vendor.features[0].usual, vendor.features[0].categories) == ("A&B", ["A&B", "C", "other"])
    assert [one.name for one in ordered.features] == ["PO Date · month", "PO Date · weekday"]
    assert browser.get("/v1/features?entity=customer").json()["columns"] == []
    assert len(browser.get("/v1/features?q=freight").json()["columns"]) == 1


@pytest.mark.parametrize(("role", "status"), [("oms", 403), ("reviewer", 200), ("admin", 200)])
def test_features_are_for_all_who_judge(browser: Any, role: str, status: int) -> None:
    browser.headers = {"authorization": f"Bearer ord_{role}_key"}
    assert browser.get("/v1/features").status_code == status


@pytest.mark.parametrize(("role", "status"), [("auditor", 200), ("admin", 200), ("trainer", 403), ("reviewer", 403), ("oms", 403)])
def test_health_is_for_those_who_watch(browser: Any, role: str, status: int) -> None:
    assert browser.login(role).get("/console/health").status_code == status


def test_a_service_in_which_everything_works_says_so(browser: Any) -> None:
    text = browser.login("auditor").get("/console/health").text
    told = flat(text)
    assert "Everything works." in told
    assert "38 decisions were rebuilt; every value came out the same." in part(text, "parity")
    assert "2: an event came in the same moment" in part(text, "parity")
    assert "2 of 2 answer" in part(text, "replicas")
    assert "began 3 h ago: 1,312 events deleted, 40 stripped" in part(text, "expiry")
    assert "scms-late Running" in part(text, "trainings")
    assert text.count('<svg class="sign ok"') == text.count('<span class="state ok">Works</span>') == 8, "never by colour alone"


CASES: list[tuple[str, HealthFacts, str, str]] = [
    ("database", replace(WELL, database_problem="the database cannot be written: OperationalError", write_ms=None), "bad", "OperationalError. Start it"),
    ("database", replace(WELL, write_ms=2_345.0), "hold", "took 2,345 ms"),
    ("replicas", replace(WELL, replicas=(), replica_problem="no decision replica answers"), "bad", "None answers"),
    ("recorder", replace(WELL, replicas=(), replica_problem="no decision replica answers"), "bad", "cannot record"),
    ("replicas", replace(WELL, wanted=3), "hold", "2 of 3 answered"),
    ("replicas", replace(WELL, generation=4), "hold", "2 of 2 still decide by models that were replaced"),
    ("replicas", replace(WELL, replicas=(ReplicaFacts("1", 3, MODELS, {"fraud": "fraud version 3 cannot be loaded: x"}),)), "hold", "fraud version 3"),
    ("recorder", replace(WELL, recorded_at=None), "plain", "No decision has been recorded yet."),
    ("store", replace(WELL, fact_at=NOW - 3 * DAY), "hold", "3 days old"),
    ("store", replace(WELL, fact_at=None), "plain", "No decision has used a fact"),
    ("store", replace(WELL, gap=NOW - DAY), "ok", "Events may be missing up to"),
    ("store", replace(WELL, standing=Standing("a", "a", None, Progress(12_000, 48_000), None)), "ok", "12,000 of 48,000 events"),
    ("store", replace(WELL, standing=Standing("a", "b", None, None, None)), "hold", "made by other definitions"),
    ("ingest", replace(WELL, known_at=NOW - 9 * HOUR), "hold", "None has become known for 9 h"),
    ("ingest", replace(WELL, known_at=None), "plain", "None has ever arrived"),
    ("ingest", replace(WELL, events_last_hour=MANY_EVENTS), "ok", "more than 100,000"),
    ("parity", replace(WELL, parity=checked(ODD)), "bad", "2 of 38 decisions saw something else"),
    ("parity", replace(WELL, parity=checked(replace(EQUAL, equal=0, not_comparable={"before_events": 40}))), "plain", "None of 40 decisions could be compared"),
    ("parity", replace(WELL, parity=None), "plain", "It has not run yet"),
    ("parity", replace(WELL, parity=None, parity_every_s=None), "plain", "turned off"),
    ("parity", replace(WELL, parity=replace(checked(), started_at=NOW - 50 * MINUTE)), "hold", "50 min old; it should come every 15 min"),
    ("expiry", replace(WELL, expiry=None), "plain", "It has not run yet"),
    ("expiry", replace(WELL, expiry=None, expiry_every_s=None), "plain", "Nothing is forgotten by itself"),
    ("expiry", replace(WELL, expiry=Run(NOW - HOUR, "schedule")), "ok", "It is at work."),
    ("expiry", replace(WELL, expiry=Run(NOW - HOUR, "schedule", NOW, problem="OperationalError: disk full")), "hold", "disk full. It is tried again"),
    ("expiry", replace(WELL, expiry=Run(NOW - 3 * DAY, "schedule", NOW, Forgotten())), "hold", "3 days old; there should be one every"),
    ("trainings", replace(WELL, failed_trainings=2), "hold", "2 failed in the last day"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "facts", "tone", "words"), CASES, ids=[f"{name} {tone} {words[:20]}" for name, _, tone, words in CASES])
def test_each_trouble_is_named_with_what_to_do(world: Any, browser: Any, name: str, facts: HealthFacts, tone: str, words: str) -> None:
    world.health.facts = facts
    browser.login("auditor")
    text = browser.get("/console/health").text
    assert f'<li id="{name}" class="{tone}">' in text
    assert words in part(text, name)
    if tone in {"hold", "bad"}:
        assert TEXTS[f"health.{name}"].en in flat(text.split("</h1>")[1].split("<ul")[0]), "the headline names it"
    browser.headers["accept-language"] = "zh"
    assert f'<li id="{name}" class="{tone}">' in browser.get("/console/health").text


def test_a_difference_leads_to_its_decision_for_those_who_may_see_it(world: Any, make_browser: Any) -> None:
    world.health.facts = replace(WELL, parity=checked(ODD))
    link = 'href="/console/decisions/0193aaaa-0000-7000-8000-000000000001"'
    auditor, admin = (make_browser(world).login(role).get("/console/health").text for role in ("auditor", "admin"))
    assert link in auditor
    assert link not in admin
    assert "recorded 3, by the events –" in flat(admin)
    assert SERVICES["fraud"].names[3] in admin
