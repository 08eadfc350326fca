"""The log in words: who it is, how it is, how anyone can check it, and what that does not prove."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from feature_store.times import Millis, format_time
from serving.console import texts
from serving.console.contexts import Badge, Frame, Pair
from serving.console.contexts.ledger import CommandRow, LedgerPage, LedgerPart
from serving.console.ledger import LedgerFacts
from serving.console.messages import say
from serving.console.views import words


def build(frame: Frame, facts: LedgerFacts | None, *, base_url: str, at: Millis) -> LedgerPage:
    """The page; without facts it says that no log is kept here."""
    teller = _Teller(frame.language, facts, base_url) if facts is not None else None
    parts = () if teller is None else (teller.published(), teller.blind(), teller.verified(), teller.witnesses())
    badge, text = (Badge(say(frame.language, "ledger.not_checked"), "off"), say(frame.language, "ledger.none"))
    if teller is not None:
        badge, text = teller.verdict()
    told = facts.at if facts is not None else at
    return LedgerPage(
        frame=frame,
        badge=badge,
        text=text,
        at=texts.moment(told, frame.language, millis=False),
        at_machine=format_time(told),
        identity=() if teller is None else teller.identity(),
        parts=parts,
        commands=() if teller is None else teller.commands(),
        limits=tuple(say(frame.language, f"ledger.limit_{name}") for name in ("operator", "answered", "true")),
    )


class _Teller:
    def __init__(self, language: str, facts: LedgerFacts, base_url: str) -> None:
        self._language = language
        self._facts = facts
        self._base_url = base_url

    def _say(self, key: str, **values: object) -> str:
        return say(self._language, f"ledger.{key}", **values)

    def _when(self, at: Millis) -> str:
        return texts.moment(at, self._language, millis=False)

    def _ok(self) -> Badge:
        return Badge(self._say("in_order"), "ok")

    def verdict(self) -> tuple[Badge, str]:
        """All of it in one word and one sentence."""
        facts, count = self._facts, texts.number(self._facts.status.size)
        if facts.last is not None and facts.last.finding is not None:
            return Badge(self._say("not_in_order"), "bad"), self._say("wrong")
        if facts.refusal is not None:
            return Badge(self._say("not_in_order"), "bad"), self._say("refused", why=facts.refusal)
        if facts.last is None:
            return Badge(self._say("not_checked"), "off"), self._say("unchecked", count=count)
        return self._ok(), self._say("ok", count=count)

    def published(self) -> LedgerPart:
        """Whether the log is signed."""
        facts = self._facts
        name = self._say("published")
        if facts.refusal is not None:
            return LedgerPart("published", name, Badge(self._say("not_in_order"), "bad"), self._say("refused", why=facts.refusal))
        if facts.status.published_at is None:
            return LedgerPart("published", name, Badge(self._say("look"), "hold"), self._say("published_none"))
        when = (Pair(self._say("when"), self._when(facts.status.published_at)),)
        return LedgerPart("published", name, self._ok(), self._say("published_ok", count=texts.number(facts.status.size)), when)

    def blind(self) -> LedgerPart:
        """How far behind it is."""
        status = self._facts.status
        count, late = texts.number(status.waiting), texts.number(status.overdue)
        if status.overdue:
            return LedgerPart(
                "blind", self._say("blind"), Badge(self._say("look"), "hold"), self._say("blind_late", count=count, late=late)
            )
        return LedgerPart("blind", self._say("blind"), self._ok(), self._say("blind_ok", count=count))

    def verified(self) -> LedgerPart:
        """What the last check found."""
        facts, name = self._facts, self._say("verified")
        last = facts.last
        if last is None:
            text = self._say("verified_off" if facts.every_s is None else "verified_none")
            return LedgerPart("verified", name, Badge(self._say("not_checked"), "off"), text)
        told = (
            Pair(self._say("when"), self._when(last.started_at)),
            Pair(self._say("whole"), self._say("whole_yes" if last.whole else "whole_no")),
            Pair(self._say("took"), texts.span(last.verified.took_ms / 1000, self._language)),
        )
        if last.finding is not None:
            return LedgerPart("verified", name, Badge(self._say("not_in_order"), "bad"), last.finding.detail, told)
        age = texts.age(max(0, facts.at - last.started_at) / 1000, self._language)
        text = self._say("verified_ok", count=texts.number(last.verified.records), age=age)
        return LedgerPart("verified", name, self._ok(), text, told)

    def witnesses(self) -> LedgerPart:
        """Who else stands for it."""
        known, name = self._facts.witnesses, self._say("witnesses")
        if not known:
            return LedgerPart("witnesses", name, Badge(self._say("alone"), "off"), self._say("witnesses_none"))
        failing = [one for one in known if one.problem is not None]
        told = tuple(Pair(self._say("cosigned_at", name=one.name), self._when(one.at)) for one in known if one.at is not None)
        if failing:
            text = self._say("witnesses_bad", names=self._listed([one.name for one in failing]), why=failing[0].problem)
            return LedgerPart("witnesses", name, Badge(self._say("look"), "hold"), text, told)
        signed = [one for one in known if one.size is not None]
        size = texts.number(max((one.size or 0 for one in signed), default=0))
        return LedgerPart(
            "witnesses", name, self._ok(), self._say("witnesses_ok", names=self._listed([one.name for one in known]), count=size), told
        )

    def _listed(self, names: Sequence[str]) -> str:
        return words.listed(self._language, names)

    def identity(self) -> tuple[Pair, ...]:
        """What an outsider has to know."""
        status = self._facts.status
        told = [
            Pair(self._say("origin"), status.origin, code=True),
            Pair(self._say("key"), status.key, code=True),
            Pair(self._say("address"), f"{self._base_url}/v1/ledger", code=True),
            Pair(self._say("size"), texts.number(status.size)),
        ]
        if status.root is not None and status.published_at is not None:
            told.append(Pair(self._say("root"), b64encode(status.root).decode(), code=True))
            told.append(Pair(self._say("at"), self._when(status.published_at)))
        return tuple(told)

    def commands(self) -> tuple[CommandRow, ...]:
        """How to check the log, ready to be copied."""
        url, key = self._base_url, self._facts.status.key
        other = (
            f"curl -s {url}/v1/ledger/key > log.vkey && pip install aics-tlog\n"
            f"curl -s {url}/v1/ledger/checkpoint > checkpoint && aics-tlog --help"
        )
        return (
            CommandRow(self._say("do_home"), "ordinance verify"),
            CommandRow(self._say("do_url"), f"ordinance verify --url {url} --key '{key}'"),
            CommandRow(self._say("do_receipt"), f"ordinance verify --receipt answer.json --url {url} --key '{key}'"),
            CommandRow(
                self._say("do_witness"), f"ordinance witness --state ./witness --name witness.example.org/1 --log '{key}' --follow {url}"
            ),
            CommandRow(self._say("do_other"), other),
        )
