"""The page about the log: what it says when all is well, when something is wrong, and when nothing is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from governance.ledger.findings import Finding, Part
from governance.ledger.published import LogStatus
from governance.ledger.verify import Verified
from serving.checks import Result
from serving.console.catalogue.ledger import TEXTS
from serving.console.ledger import LedgerFacts, WitnessFacts

NOW = 1_800_000_000_000
STATUS = LogStatus("ordinance.example/log", "ordinance.example/log+0badcafe+AAAA", 1_234, b"r" * 32, NOW - 900, 7, 0)
LAST = Result(NOW - 60_000, "schedule", True, Verified(1_230, b"r" * 32, 1_230, 0, 0, 2_500), None)
WELL = LedgerFacts(NOW, STATUS, None, LAST, 300.0, (WitnessFacts("witness.example/1", 1_200, NOW - 2_000, None),))


class Told:
    def __init__(self, facts: LedgerFacts) -> None:
        self.facts = facts

    def look(self) -> LedgerFacts:
        return self.facts


def page(make_browser: Any, world: Any, facts: LedgerFacts, query: str = "") -> str:
    text: str = make_browser(world, ledger=Told(facts)).login("auditor").get(f"/console/ledger{query}").text
    return text


def test_it_tells_identity_state_and_commands(make_browser: Any, world: Any) -> None:
    text = page(make_browser, world, WELL)
    for told in (STATUS.origin, STATUS.key, "1,234", "1,230", "witness.example/1", "ordinance verify --url", "ordinance witness --state"):
        assert told in text
    assert 'id="published" class="ok"' in text
    assert TEXTS["ledger.limit_operator"].en in text.replace("\u2019", "'")


WRONG = replace(LAST, finding=Finding(Part.RECORD, "0193", "record 0193 (place 5): the leaf hash is not that of the entry"))


@pytest.mark.parametrize(
    ("facts", "anchor", "tone", "said"),
    [
        (replace(WELL, last=WRONG), "verified", "bad", "record 0193 (place 5)"),
        (replace(WELL, last=None), "verified", "off", "Nothing has been checked yet"),
        (replace(WELL, refusal="it has signed another tree"), "published", "bad", "it has signed another tree"),
        (replace(WELL, status=replace(STATUS, overdue=3)), "blind", "hold", "3 of 7"),
        (replace(WELL, witnesses=()), "witnesses", "off", "Nobody else cosigns"),
        (replace(WELL, witnesses=(WitnessFacts("w.example/2", None, None, "it is away"),)), "witnesses", "hold", "it is away"),
    ],
)
def test_what_is_not_well_is_told(make_browser: Any, world: Any, facts: LedgerFacts, anchor: str, tone: str, said: str) -> None:
    text = page(make_browser, world, facts)
    assert f'<li id="{anchor}" class="{tone}">' in text
    assert said in text


@pytest.mark.parametrize(("role", "status"), [("auditor", 200), ("admin", 200), ("trainer", 403)])
def test_it_is_for_those_who_watch(make_browser: Any, world: Any, role: str, status: int) -> None:
    assert make_browser(world, ledger=Told(WELL)).login(role).get("/console/ledger").status_code == status
