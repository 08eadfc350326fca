"""The list of decisions: filters, pages, and what cannot be understood."""

import dataclasses
from typing import Any

import pytest

from feature_store.times import DAY, parse_time
from serving.console.views import decisions as view
from tests.serving.console.examples import facts


def test_filters_reach_the_search_as_typed(world: Any, browser: Any) -> None:
    query = "type=fraud&outcome=ALLOW&status=decided&order_id=+SO-1001+&customer_id=C-9&reason=CARD_KNOWN&channel=app&region=east&since=2026-11-11&until=2026-11-11"
    query += "&tag=presale&policy_version=3&overridden=false"
    assert browser.login("auditor").get(f"/console/decisions?{query}").status_code == 200
    asked = world.decisions.asked[-1]
    start = parse_time("2026-11-11T00:00:00Z")
    assert dataclasses.astuple(asked) == (
        "fraud", "ALLOW", "decided", "SO-1001", "C-9", "CARD_KNOWN", "app", "east", "presale", 3, False, start, start + DAY,
    )  # fmt: skip


def test_a_version_that_is_none_is_named(world: Any, browser: Any) -> None:
    told = browser.login("auditor").get("/console/decisions?policy_version=three&overridden=maybe")
    assert "three" in told.text
    assert (world.decisions.asked[-1].policy_version, world.decisions.asked[-1].overridden) == (None, None)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-11", "2026-11-11T00:00:00Z"), ("2026-11-11T08:30", "2026-11-11T08:30:00Z"), ("2026-11-11 08:30:15", "2026-11-11T08:30:15Z"),
        ("2026-11-11T08:30+08:00", "2026-11-11T00:30:00Z"), ("2026-11-11T08:30:00.250Z", "2026-11-11T08:30:00.250Z"),
    ],
)  # fmt: skip
def test_times_are_read_in_utc(text: str, at: str) -> None:
    assert view.read("en", {"since": text}).filters.since == parse_time(at)


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "11.11.2026", "2026-11-11T25:00", "20261111"])
def test_a_time_that_cannot_be_read_is_named_and_left_out(text: str) -> None:
    asked = view.read("en", {"since": text, "type": "fraud"})
    assert asked.filters.since is None
    assert asked.filters.type == "fraud"
    assert text in asked.problem


def test_pages_follow_one_another_without_loss(world: Any, browser: Any) -> None:
    world.decisions.page = 1
    browser.login("auditor")
    seen, path = [], "/console/decisions"
    while path:
        text = browser.get(path).text
        seen.append(text.split('<td class="what"><a href="')[1].split('"')[0])
        path = text.split('rel="next">')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&") if 'rel="next"' in text else ""
    assert len(seen) == len(set(seen)) == 3
    assert 'rel="prev"' in text


def test_a_cursor_that_is_none_starts_again_and_says_so(world: Any, browser: Any) -> None:
    answer = browser.login("auditor").get("/console/decisions?cursor=broken")
    assert answer.status_code == 200
    assert "no longer exists" in answer.text


def test_each_filter_can_be_lifted_by_itself(world: Any, browser: Any) -> None:
    text = browser.login("auditor").get("/console/decisions?type=fraud&outcome=ALLOW").text
    assert 'href="/console/decisions?outcome=ALLOW" title="Remove this filter"' in text
    assert 'href="/console/decisions?type=fraud" title="Remove this filter"' in text


def test_an_empty_home_says_what_will_be_here(world: Any, browser: Any) -> None:
    world.decisions.stored.clear()
    assert "Nothing has been decided yet" in browser.login("auditor").get("/console/decisions").text


def test_a_custom_type_s_columns_are_named_as_their_file_does(world: Any, browser: Any) -> None:
    one = facts()
    line = dataclasses.replace(
        one.line, type="scms-late", reasons=("PQ_FIRST_SENT", "VENDOR"), columns={"PQ_FIRST_SENT": "PQ First Sent", "VENDOR": "Vendor"}
    )
    world.decisions.stored = [dataclasses.replace(one, line=line)]
    assert "PQ First Sent; Vendor" in browser.login("auditor").get("/console/decisions").text
