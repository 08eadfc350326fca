"""What a policy's checks came to, in the reader's words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serving.console import texts
from serving.console.contexts import PolicyRow
from serving.console.messages import say, say_or
from serving.console.views import words

_SEEN = re.compile(r"(?P<path>[a-z]+\.[a-z_0-9]+) = (?P<value>\[[^]]*\]|[^,;]*)")
"""One value that a check saw, as the record holds it: ``model.probability = 0.465827``."""
_SHARES = frozenset(
    [
        "model.probability",
        "model.low",
        "model.high",
        "model.width",
        "model.threshold",
        "params.max_straddle",
        "params.near",
        "cost.hold_from",
        "cost.reject_from",
        "params.review_loss_floor",
        "plan.p_late",
    ]
)
_MONEY = frozenset(["order.amount", "model.expected_loss", "params.person_above", "params.review_loss", "params.customs_value_max"])
_TONES = {"passed": "pass", "ruled_out": "pass", "failed": "bad", "idle": "miss", "matched": "hit"}


@dataclass(frozen=True, slots=True)
class Known:
    """What a decision says beside its checks, so that a check's shortened number is told as it is told elsewhere on the page.

    Attributes:
        exact: whole numbers behind the shortened ones, by path.
        currency: of the order's amounts.
    """

    exact: Mapping[str, float] = field(default_factory=dict)
    currency: str = ""

    @classmethod
    def of(cls, answer: Mapping[str, Any], order: Mapping[str, Any] | None) -> Known:
        """What one answer says."""
        exact: dict[str, float] = {}
        if confidence := answer.get("confidence"):
            exact = {f"model.{name}": float(confidence[name]) for name in ("probability", "low", "high")}
            exact["model.width"] = exact["model.high"] - exact["model.low"]
        return cls(exact, str((order or {}).get("currency", "")))

    def number(self, path: str, text: str) -> float:
        """The number that a check saw. Raises ValueError where it is none."""
        shortened, exact = float(text), self.exact.get(path)
        return exact if exact is not None and math.isclose(exact, shortened, rel_tol=1e-5) else shortened


_NOTHING = Known()


def row(language: str, result: Mapping[str, Any], checks: Mapping[str, Mapping[str, str]], known: Known = _NOTHING) -> PolicyRow:
    """One check: what it asks, whether it was met, and what it saw. ``checks`` are the document's own texts."""
    hard, passed = bool(result.get("hard")), bool(result.get("passed"))
    name = str(result.get("id", ""))
    own = say_or(language, f"check.{name}", "")
    plain, text = own or name.replace("_", " ").capitalize(), checks.get(name)
    # A constraint's text says what is the matter when it objects; when it does not, its name says what holds.
    told = plain if text is None or (hard and passed and (own or language == "en")) else texts.speak(text, language)
    state = ("ruled_out" if passed and told != plain else "passed" if passed else "failed") if hard else ("idle" if passed else "matched")
    parts = [
        say(language, "decision.policy_hard") if hard else "",
        say(language, f"decision.policy_{state}"),
        seen(language, str(result.get("detail") or ""), known),
    ]
    return PolicyRow(told, " · ".join(part for part in parts if part), _TONES[state])


def seen(language: str, detail: str, known: Known = _NOTHING) -> str:
    """``model.probability = 0.465827, params.hold_at = 0.45`` → ``risk 47 %, hold from 45 %``; other text stays as it is."""
    told = _SEEN.sub(lambda found: _value(language, found["path"], found["value"], known), detail)
    return told.replace(", ", "，") if language == "zh" else told


def _value(language: str, path: str, value: str, known: Known) -> str:
    name = path.partition(".")[2].replace("_", " ")
    if value.startswith("["):
        items = [words.tag_name(language, item.strip()).replace("_", " ") for item in value.strip("[]").split(",") if item.strip()]
        inside = words.listed(language, items) or say(language, "check.none")
        return say(language, "check.list", name=say_or(language, f"seen.{path}", name), values=inside)
    asked = say_or(language, f"seen.{path}", "")
    shown = _shown(language, path, value, known)
    return asked.format(value=shown) if "{value}" in asked else f"{asked or name} {shown}"


def _shown(language: str, path: str, value: str, known: Known) -> str:
    """One value in words: a share, an amount, a number, or a name."""
    try:
        number = known.number(path, value)
    except ValueError:
        spoken = words.payment_status(language, value) if path == "order.payment_status" else say_or(language, f"check.{value}", value)
        return spoken.replace("_", " ")
    if path in _SHARES or (path.endswith("_at") and 0 <= number <= 1):
        return texts.percent(number)
    if path in _MONEY and known.currency:
        return texts.money({"amount": f"{number:.2f}", "currency": known.currency})
    return texts.number(number)


def precedence(language: str, answer: Mapping[str, Any]) -> tuple[PolicyRow, ...]:
    """What would stop or hold an order, strongest first, and which line did."""
    decided = answer.get("decided_by")
    return tuple(
        PolicyRow(
            precedence_line(language, str(line)),
            say(language, "decision.policy_matched" if line == decided else "decision.policy_idle"),
            "hit" if line == decided else "miss",
        )
        for line in answer.get("precedence") or ()
    )


def precedence_line(language: str, line: str) -> str:
    """``fraud:BLOCK → STOP`` in the reader's words."""
    asked, arrow, gives = line.partition(" → ")
    kind, _, outcome = asked.partition(":")
    if not arrow:
        return line
    told = say(language, "decision.part", type=words.type_name(language, kind), outcome=words.outcome_badge(language, outcome).text)
    return f"{told} → {words.outcome_badge(language, gives).text}"


def hint(language: str, policy: Mapping[str, Any]) -> str:
    """Beside the heading: which version, how many checks."""
    results = policy.get("results") or ()
    if not policy:
        return say(language, "decision.no_policy")
    checks = say(language, "decision.checks.one" if len(results) == 1 else "decision.checks.many", count=len(results))
    if hard := sum(bool(result.get("hard")) for result in results):
        checks = say(language, "decision.checks_hard", checks=checks, hard=hard)
    return say(language, "decision.policy_hint", version=policy.get("version", ""), checks=checks)
