"""The service's own state, for operators and their tools: alive, ready, figures. No key is asked for."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import orjson
from fastapi import APIRouter
from sqlalchemy import Engine, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import PlainTextResponse, Response

from feature_store.database import reading
from feature_store.times import now
from governance.ledger.published import not_integrated
from governance.ledger.tables import decisions
from governance.monitoring import Watched
from governance.tables import principals
from serving import checks, parity
from serving.confidence import ConfidenceWatch

FIGURES_AGE_S = 15.0
"""Figures are counted at most this often, however many scrapers ask."""


@dataclass(frozen=True, slots=True)
class Probes:
    """How the parts are asked.

    Attributes:
        engine: of the database.
        decisions_url: where a decision replica tells what it has loaded.
    """

    engine: Engine
    decisions_url: str

    def database(self) -> str | None:
        """Why the database cannot be written; ``None`` when it can. Nothing is changed."""
        try:
            with self.engine.begin() as connection:
                connection.execute(update(principals).where(principals.c.principal == "").values(created_at=0))
        except SQLAlchemyError as error:
            return f"the database cannot be written: {type(error).__name__}"
        return None

    def deciding(self) -> tuple[Mapping[str, Any], str | None]:
        """What a decision replica has loaded, and why it is not ready; ``None`` when it is."""
        try:
            with urllib.request.urlopen(self.decisions_url, timeout=3) as answer:  # noqa: S310 - our own address
                told: Mapping[str, Any] = orjson.loads(answer.read())
        except urllib.error.HTTPError as error:
            return {}, f"no decision replica answers: status {error.code}"
        except (OSError, ValueError):
            return {}, "no decision replica answers"
        problems: Mapping[str, str] = told.get("problems", {})
        return told, "; ".join(problems.values()) or None


def routes(probes: Probes, *, clock: Callable[[], float] = time.monotonic) -> APIRouter:
    """``/healthz``, ``/readyz`` and ``/metrics``."""
    router = APIRouter(tags=["system"])
    figures = _Figures(probes, clock)

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", summary="The process answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.head("/readyz", include_in_schema=False)
    @router.get(
        "/readyz",
        summary="Models are loaded and the database can be written",
        responses={503: {"description": "not ready"}},
    )
    async def readyz() -> Response:
        database, (told, deciding) = await asyncio.gather(asyncio.to_thread(probes.database), asyncio.to_thread(probes.deciding))
        reasons = [reason for reason in (database, deciding) if reason is not None]
        body = {
            "status": "not ready" if reasons else "ready",
            "reasons": reasons,
            "models": told.get("models", {}),
            "generation": told.get("generation"),
            "version": version("ordinance"),
        }
        return Response(orjson.dumps(body), 503 if reasons else 200, {"Cache-Control": "no-store"}, "application/json")

    @router.get("/metrics", summary="Figures in Prometheus's text format", response_class=PlainTextResponse)
    async def metrics() -> Response:
        return PlainTextResponse(await asyncio.to_thread(figures.text), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


class _Figures:
    def __init__(self, probes: Probes, clock: Callable[[], float]) -> None:
        self._probes = probes
        self._clock = clock
        self._watch: ConfidenceWatch | None = None
        self._text = ""
        self._at: float | None = None

    def text(self) -> str:
        if self._at is None or self._clock() - self._at > FIGURES_AGE_S:
            self._watch = self._watch or ConfidenceWatch(self._probes.engine)
            self._text = "".join(_lines(self._probes, self._watch))
            self._at = self._clock()
        return self._text


def _lines(probes: Probes, watch: ConfidenceWatch) -> Iterable[str]:
    told, deciding = probes.deciding()
    yield _head("ordinance_info", "gauge", "The version that runs.")
    yield _line("ordinance_info", {"version": version("ordinance")}, 1)
    yield _head("ordinance_ready", "gauge", "Whether a part is ready: 1 or 0.")
    yield _line("ordinance_ready", {"part": "decisions"}, int(deciding is None))
    yield from _breaker_lines(told.get("breakers", {}))
    try:
        with reading(probes.engine).connect() as connection:
            by_outcome = connection.execute(
                select(decisions.c.type, decisions.c.outcome, decisions.c.status, func.count()).group_by(
                    decisions.c.type, decisions.c.outcome, decisions.c.status
                )
            ).all()
            checked, verified = parity.newest(probes.engine), checks.newest(probes.engine)
            waiting, overdue = not_integrated(connection, now())
        watched = watch.current()
    except SQLAlchemyError:
        yield _line("ordinance_ready", {"part": "database"}, 0)
        return
    yield _line("ordinance_ready", {"part": "database"}, 1)
    yield _head("ordinance_decisions_total", "counter", "Recorded decisions.")
    for decision_type, outcome, status, count in by_outcome:
        yield _line("ordinance_decisions_total", {"type": decision_type, "outcome": outcome, "status": status}, count)
    yield _head("ordinance_records_not_integrated", "gauge", "Records promised, not yet integrated: how blind the log is.")
    yield _line("ordinance_records_not_integrated", {}, waiting)
    yield _head("ordinance_records_overdue", "gauge", "Those of them that should be published by now.")
    yield _line("ordinance_records_overdue", {}, overdue)
    yield from _verify_lines(verified)
    yield from _parity_lines(checked)
    yield from _confidence_lines(watched)
    yield _head("ordinance_model_version", "gauge", "The version that answers for a decision type.")
    for decision_type, model in told.get("models", {}).items():
        yield _line("ordinance_model_version", {"type": decision_type, "name": model["name"]}, model["version"])


def _breaker_lines(breakers: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    yield _head(
        "ordinance_breaker_open", "gauge", "Whether one decision process leaves a dependency alone, because it keeps failing: 1 or 0."
    )
    for dependency, told in breakers.items():
        yield _line("ordinance_breaker_open", {"dependency": dependency}, int(told["state"] != "closed"))


def _verify_lines(last: checks.Result | None) -> Iterable[str]:
    if last is None:
        return
    yield _head("ordinance_ledger_in_order", "gauge", "Whether the last check of the log found nothing: 1 or 0.")
    yield _line("ordinance_ledger_in_order", {}, int(last.finding is None))
    yield _head("ordinance_ledger_checked_records", "gauge", "Records that the last check of the log read.")
    yield _line("ordinance_ledger_checked_records", {"whole": str(last.whole).lower()}, last.verified.records)
    yield _head("ordinance_ledger_checked_timestamp_seconds", "gauge", "When the log was checked last.")
    yield _line("ordinance_ledger_checked_timestamp_seconds", {}, last.started_at / 1000)


def _parity_lines(checked: parity.Checked | None) -> Iterable[str]:
    if checked is None:
        return
    report = checked.report
    yield _head("ordinance_parity_decisions", "gauge", "Decisions of the last parity check, by what came of them.")
    for result, count in (("equal", report.equal), ("differing", report.differing), *report.not_comparable.items()):
        yield _line("ordinance_parity_decisions", {"result": result}, count)
    yield _head("ordinance_parity_differing_values", "gauge", "Values of a feature that came out otherwise in the last parity check.")
    for one in report.features:
        if one.differing:
            yield _line("ordinance_parity_differing_values", {"type": one.type, "feature": one.name}, one.differing)
    yield _head("ordinance_parity_checked_timestamp_seconds", "gauge", "When the last parity check was made.")
    yield _line("ordinance_parity_checked_timestamp_seconds", {}, checked.started_at / 1000)


_CONFIDENCE = {
    "ece": ("ordinance_model_calibration_error", "Expected calibration error of live decisions whose truth is known."),
    "coverage": ("ordinance_model_interval_coverage", "Share of these decisions whose interval holds the observed rate; told at 0.9."),
    "auc": ("ordinance_model_auc", "How well these decisions were ranked: 0.5 is chance, 1 is perfect."),
    "event_rate": ("ordinance_model_event_rate", "How often the predicted event came about."),
    "mean_probability": ("ordinance_model_mean_probability", "How often it was predicted to."),
}


def _confidence_lines(watched: Sequence[Watched]) -> Iterable[str]:
    labels = [({"type": one.type, "name": one.model_name, "version": str(one.model_version)}, one) for one in watched]
    if labels:
        yield _head("ordinance_labelled_decisions", "gauge", "Decisions of the last 60 days whose truth is known.")
    for label, one in labels:
        yield _line("ordinance_labelled_decisions", label, one.labelled)
    for figure, (name, text) in _CONFIDENCE.items():
        told = [(label, one.figures[figure]) for label, one in labels]
        if any(value is not None for _, value in told):
            yield _head(name, "gauge", text)
        for label, value in told:
            if value is not None:
                yield _line(name, label, value)


def _head(name: str, kind: str, text: str) -> str:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {value}\n" if inside else f"{name} {value}\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
