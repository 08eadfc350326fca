"""What a policy's checks came to, in the reader's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
        "params.review_loss_floor",
        "plan.p_late",
    ]
)
_TONES = {"passed": "pass", "ruled_out": "pass", "failed": "bad", "idle": "miss", "matched": "hit"}


def row(language: str, result: Mapping[str, Any], checks: Mapping[str, Mapping[str, str]]) -> PolicyRow:
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
        seen(language, str(result.get("detail") or "")),
    ]
    return PolicyRow(told, " · ".join(part for part in parts if part), _TONES[state])


def seen(language: str, detail: str) -> str:
    """``model.probability = 0.465827, params.hold_at = 0.45`` → ``risk 47 %, hold from 45 %``; other text stays as it is."""
    told = _SEEN.sub(lambda found: _value(language, found["path"], found["value"]), detail)
    return told.replace(", ", "，") if language == "zh" else told


def _value(language: str, path: str, value: str) -> str:
    name = path.partition(".")[2].replace("_", " ")
    if value.startswith("["):
        inside = value.strip("[]").replace("_", " ")
        return say(language, "check.list", name=say_or(language, f"seen.{path}", name), values=inside or say(language, "check.none"))
    shown = say_or(language, f"check.{value}", value.replace("_", " "))
    try:
        number = float(value)
        share = path in _SHARES or (path.endswith("_at") and 0 <= number <= 1)
        shown = texts.percent(number) if share else texts.number(number)
    except ValueError:
        pass
    known = say_or(language, f"seen.{path}", "")
    return known.format(value=shown) if "{value}" in known else f"{known or name} {shown}"


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
    hard = sum(bool(result.get("hard")) for result in results)
    return say(language, "decision.policy_hint", version=policy.get("version", ""), count=len(results), hard=hard)
