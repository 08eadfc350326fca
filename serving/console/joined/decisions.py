"""Recorded decisions as the pages show them: everything from the record, as it was then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import orjson

from feature_store.views import SERVICES
from governance.aftermath import AftermathReader, Decided
from governance.completion import NO_MODEL, NO_MODEL_CODE, RULES_ONLY, RULES_ONLY_CODE
from governance.controls import ALLOW, BLOCK
from governance.decision import HELD, HELD_TEXT
from governance.ledger.errors import CursorInvalid, RecordCorrupt
from governance.ledger.opened import numbers
from governance.ledger.store import DecisionLine as StoredLine
from governance.ledger.store import DecisionReader, Filters, StoredDecision
from governance.policy import LISTED, ON_ALLOW_LIST, ON_BLOCK_LIST
from governance.policy_document import default_policies
from governance.policy_store import find_policy
from models.features import LANGUAGES, FeatureCard
from models.specs import SPECS
from serving.console.joined.cards import Card, Cards
from serving.console.ports import CursorRefused, DecisionFacts, DecisionFilters, DecisionLine, DecisionSlice, FeatureFact, Refused
from serving.console.texts import capital
from serving.errors import Problem, ProblemKind
from serving.gone import tell_erased
from serving.lookups import record_json
from serving.recorded import snapshot_features
from serving.since import written_in

_LINE = tuple(one.name for one in fields(DecisionLine) if one.name != "columns")
_FILTERS = tuple(one.name for one in fields(DecisionFilters))


class RecordedDecisions:
    """Fulfils :class:`serving.console.ports.Decisions`. Read-only.

    Args:
        reader: of the ledger.
        cards: of the models' artifacts.
    """

    def __init__(self, reader: DecisionReader, cards: Cards) -> None:
        self._reader = reader
        self._after = AftermathReader(reader.engine)
        self._cards = cards
        self._reason_texts = _reason_texts()

    def search(self, filters: DecisionFilters, cursor: str | None, limit: int) -> DecisionSlice:
        """One page, newest first."""
        asked = Filters(**{name: getattr(filters, name) for name in _FILTERS})
        try:
            page = self._reader.search(asked, cursor, limit)
        except CursorInvalid as error:
            raise CursorRefused(str(error)) from error
        columns = {digest: self._columns(digest) for digest in {line.model_digest for line in page.lines if line.type not in SPECS}}
        return DecisionSlice(tuple(_line(line, columns.get(line.model_digest)) for line in page.lines), page.next_cursor)

    def get(self, record_id: str) -> DecisionFacts | None:
        """One decision with everything."""
        stored = self._reader.get(record_id)
        return self._followed(self._facts(stored)) if stored else None

    def of_order(self, order_id: str) -> Sequence[DecisionFacts]:
        """Every decision of one order, oldest first."""
        return [self._facts(stored) for stored in self._reader.of_order(order_id) if not stored.erased]

    def types(self) -> Sequence[str]:
        """The built-in types, then those that were ever decided."""
        return tuple(dict.fromkeys([*SPECS, *self._reader.types()]))

    def reason_text(self, code: str, language: str) -> str:
        """The label of the feature or rule behind a code; a custom column's code is its name already."""
        texts = self._reason_texts.get(code)
        return capital(texts.get(language, texts["en"])) if texts else code.replace("_", " ").capitalize()

    def _columns(self, digest: str | None) -> Mapping[str, str]:
        """The columns behind the reason codes of a user's own model."""
        card = self._cards.find(digest)
        return {one.reason_code: one.group for one in card.features.values()} if card and card.encoder else {}

    def _followed(self, facts: DecisionFacts) -> DecisionFacts:
        """With what happened since."""
        line = facts.line
        one = Decided(line.record_id, line.type, line.outcome, line.order_id, line.order_version)
        after = self._after.of([one])[line.record_id]
        return replace(facts, after=after, notes=self._after.notes(written_in([after])))

    def _facts(self, stored: StoredDecision) -> DecisionFacts:
        if stored.erased:
            raise Refused(tell_erased(stored))
        try:
            return self._opened(stored)
        except (RecordCorrupt, KeyError, TypeError, ValueError) as error:
            detail = f"The record {stored.line.record_id} is damaged: {error}. 'ordinance verify' says what else is, and a backup holds it whole."
            raise Refused(Problem(ProblemKind.INTERNAL, detail)) from error

    def _check_texts(self, digest: str | None) -> Mapping[str, Mapping[str, str]]:
        """What each check of a policy says, by its id; a rule without a text of its own keeps its id."""
        policy = next((policy for policy in default_policies().values() if policy.digest == digest), None)
        if policy is None and digest is not None:
            policy = find_policy(self._reader.engine, digest)
        of_lists = {ON_BLOCK_LIST: LISTED[BLOCK][1], ON_ALLOW_LIST: LISTED[ALLOW][1]}
        return of_lists | {check.id: check.text for check in policy.checks if check.text} if policy else of_lists

    def _opened(self, stored: StoredDecision) -> DecisionFacts:
        groups, answer = stored.groups, orjson.loads(stored.response)
        snapshot = groups.get("snapshot") or {}
        explanation = groups.get("explanation")
        base, margin = numbers(groups["scores"]).tolist() if explanation else (None, None)
        card = self._cards.find(stored.line.model_digest)
        request = orjson.loads(groups["request"])
        return DecisionFacts(
            line=_line(stored.line),
            answer=answer,
            reasons=groups["outcome"].get("reasons") or (),
            features=_features(groups, card),
            base=base,
            margin=margin,
            link=str(explanation["link"]) if explanation else "logit",
            as_of=snapshot.get("as_of"),
            view_version=snapshot.get("view_version"),
            marks=_marks(groups, card),
            checks=self._check_texts(stored.line.policy_digest),
            order=request.get("order"),
            sequence=stored.seq,
            raw={"answer": answer, "record": record_json(stored)},
        )


def _line(line: StoredLine, columns: Mapping[str, str] | None = None) -> DecisionLine:
    return DecisionLine(**{name: getattr(line, name) for name in _LINE}, columns=columns or {})


def _features(groups: Mapping[str, Any], card: Card | None) -> tuple[FeatureFact, ...]:
    """Every feature of the snapshot, those that moved the margin most first."""
    known = snapshot_features(groups)
    explanation = groups.get("explanation") or {"names": [], "features": []}
    parts = numbers(groups["contributions"]) if "contributions" in groups else np.zeros(0)
    told = dict(zip(explanation["names"], explanation["features"], strict=True))
    contributed = dict(zip(explanation["names"], parts.tolist(), strict=True))
    names = sorted({**known, **told}, key=lambda name: -abs(contributed.get(name, 0.0)))
    found = []
    for name in names:
        described, value = told.get(name, {}), known.get(name, {})
        shown = card.features.get(name) if card else None
        found.append(
            FeatureFact(
                name=name,
                label=described.get("label") or {"en": name},
                value=value.get("value"),
                unit=described.get("unit") or None,
                usual=described.get("usual"),
                contribution=contributed.get(name),
                origin=value.get("origin"),
                event_time=value.get("event_time"),
                value_text=_written(shown, value.get("value")),
                usual_text=_written(shown, shown.usual) if shown and shown.usual is not None else None,
            )
        )
    return tuple(found)


def _written(card: FeatureCard | None, value: float | None) -> Mapping[str, str] | None:
    """The value as the card writes it, in every language."""
    if card is None or value is None:
        return None
    return {language: card.write(float(value), language) for language in LANGUAGES}


def _marks(groups: Mapping[str, Any], card: Card | None) -> tuple[float, ...]:
    """Probabilities at which the outcome changes: by expected cost, else the policy's ``..._at`` parameters, else the model's own threshold."""
    costs = ((groups.get("outcome") or {}).get("details") or {}).get("costs")
    if costs:
        return tuple(sorted(mark for name in ("hold_from", "reject_from") if 0 < (mark := float(costs[name])) < 1))
    parameters = (groups.get("policy") or {}).get("parameters") or {}
    marks = [
        float(value)
        for name, value in parameters.items()
        if name.endswith("_at") and isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1
    ]
    if not marks and card and card.threshold is not None and card.encoder is not None:
        marks = [card.threshold]
    return tuple(sorted(marks))


def _reason_texts() -> Mapping[str, Mapping[str, str]]:
    texts: dict[str, Mapping[str, str]] = {NO_MODEL_CODE: NO_MODEL, RULES_ONLY_CODE: RULES_ONLY, HELD: HELD_TEXT, **dict(LISTED.values())}
    for service in SERVICES.values():
        for feature in service.features:
            texts.setdefault(feature.reason, feature.meaning)
    for policy in default_policies().values():
        for fallback in policy.fallbacks.values():
            texts.setdefault(f"FALLBACK_{fallback.name.upper()}", fallback.text)
        for check in policy.checks:
            if check.code and check.text:
                texts[check.code] = check.text
    return texts
