"""How the service is, part by part, in words: what works, what to look at, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from feature_store.parity import ParityReport
from feature_store.times import DAY, HOUR, Millis, format_time
from feature_store.views import SERVICES
from governance.monitoring import FEWEST, Watched
from serving.confidence import newest, strays
from serving.console import texts
from serving.console.contexts import Badge, Frame, HealthPage, OddFeature, Pair, PartRow
from serving.console.messages import say
from serving.console.views import words
from serving.console.watching import MANY_EVENTS, HealthFacts, State

_SLOW_MS = 1_000.0
_QUIET: Millis = HOUR
"""After so long without an event a person should look."""
_OLD: Millis = DAY
"""Facts that are older when they are used deserve a look."""
_OVERDUE = 3
"""After so many turns left out the parity check is overdue."""
_LATE: Millis = 6 * HOUR
"""How much later than it should begin a run that forgets may end."""
_SHOWN = 12
_SERVERS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def build(frame: Frame, facts: HealthFacts, *, decisions: bool, trainings: bool) -> HealthPage:
    """The page; ``decisions`` and ``trainings`` say whether the reader may follow links to these."""
    teller = _Teller(frame.language, facts)
    parts = (
        teller.database(), teller.replicas(), teller.recorder(), teller.store(), teller.ingest(), teller.parity(decisions),
        teller.confidence(), teller.expiry(), teller.trainings(trainings),
    )  # fmt: skip
    tones = [part.badge.tone for part in parts]
    worst = next((state for state in (State.FAILING, State.LOOK) if state in tones), State.WORKING)
    named = [part.name for part in parts if part.badge.tone == worst.value]
    key = {State.FAILING: "health.some_bad", State.LOOK: "health.some_hold"}.get(worst)
    return HealthPage(
        frame=frame,
        badge=Badge(say(frame.language, "state.wrong"), worst.value) if worst is State.FAILING else _badge(frame.language, worst),
        text=say(frame.language, key, parts=words.listed(frame.language, named)) if key else say(frame.language, "health.all_ok"),
        at=texts.moment(facts.at, frame.language, millis=False),
        at_machine=format_time(facts.at),
        parts=parts,
    )


def _badge(language: str, state: State) -> Badge:
    return Badge(say(language, f"state.{state.value}"), state.value)


class _Teller:
    """Says each part in one language."""

    def __init__(self, language: str, facts: HealthFacts) -> None:
        self._language = language
        self._facts = facts

    def _say(self, key: str, **values: object) -> str:
        return say(self._language, f"health.{key}", **values)

    def _part(self, name: str, state: State, text: str, facts: Iterable[Pair] = (), **more: Any) -> PartRow:
        return PartRow(name, self._say(name), self._say(f"{name}_is"), _badge(self._language, state), text, tuple(facts), **more)

    def _age(self, at: Millis) -> str:
        return texts.age(max(0, self._facts.at - at) / 1000, self._language)

    def _when(self, key: str, at: Millis | None) -> list[Pair]:
        return [] if at is None else [Pair(self._say(key), texts.moment(at, self._language, millis=False))]

    def database(self) -> PartRow:
        """Whether the database can be written."""
        facts = self._facts
        server = Pair(self._say("server"), _SERVERS.get(facts.database, facts.database))
        if facts.database_problem is not None or facts.write_ms is None:
            why = (facts.database_problem or "?").rpartition(": ")[2]
            return self._part("database", State.FAILING, self._say("database_bad", why=why), [server])
        took = f"{texts.number(round(facts.write_ms, 1))} ms"
        slow = facts.write_ms > _SLOW_MS
        text = self._say("database_slow" if slow else "database_ok", time=took)
        return self._part("database", State.LOOK if slow else State.WORKING, text, [server])

    def replicas(self) -> PartRow:
        """Who decides, and by which models."""
        facts = self._facts
        told = [
            Pair(
                self._say("replica", id=one.replica or at),
                self._say("replica_models", models=self._models(one.models), generation=one.generation),
            )
            for at, one in enumerate(facts.replicas, start=1)
        ]
        if not facts.replicas:
            return self._part("replicas", State.FAILING, self._say("replicas_none", why=facts.replica_problem or "?"))
        counted = {"count": len(facts.replicas), "wanted": facts.wanted}
        problems = sorted({problem for one in facts.replicas for problem in one.problems.values()})
        behind = [one for one in facts.replicas if one.generation != facts.generation]
        if problems:
            return self._part("replicas", State.LOOK, self._say("replicas_problem", why="; ".join(problems)), told)
        if behind and facts.database_problem is None:
            told.append(Pair(self._say("in_force"), self._say("generation", generation=facts.generation)))
            text = self._say("replicas_old", count=len(behind), wanted=facts.wanted)
            return self._part("replicas", State.LOOK, text, told)
        few = len(facts.replicas) < facts.wanted
        text = self._say("replicas_few" if few else "replicas_ok", **counted)
        return self._part("replicas", State.LOOK if few else State.WORKING, text, told)

    def _models(self, models: Mapping[str, Mapping[str, object]]) -> str:
        named = (f"{words.type_name(self._language, kind)} v{model.get('version')}" for kind, model in sorted(models.items()))
        return words.listed(self._language, named) or self._say("no_models")

    def recorder(self) -> PartRow:
        """Whether decisions are put on disk."""
        facts = self._facts
        if facts.database_problem is not None or not facts.replicas:
            return self._part("recorder", State.FAILING, self._say("recorder_bad"))
        if facts.recorded_at is None:
            return self._part("recorder", State.UNKNOWN, self._say("recorder_none"))
        text = self._say("recorder_ok", age=self._age(facts.recorded_at))
        return self._part("recorder", State.WORKING, text, self._when("recorded_at", facts.recorded_at))

    def store(self) -> PartRow:
        """How old the facts are that decisions use, and whether the states follow the definitions."""
        at, standing = self._facts.fact_at, self._facts.standing
        told = self._when("fact_at", at) + self._when("gap", self._facts.gap)
        if standing is not None and standing.open is not None:
            done = self._say("rebuild_done", done=texts.number(standing.open.done), all=texts.number(standing.open.total))
            told.append(Pair(self._say("rebuild"), done))
        more = {"href": "/console/features", "link": say(self._language, "nav.features")}
        if standing is not None and standing.needed:
            return self._part("store", State.LOOK, self._say("store_other"), told, **more)
        if at is None:
            return self._part("store", State.UNKNOWN, self._say("store_none"), told)
        old = self._facts.at - at > _OLD
        text = self._say("store_old" if old else "store_ok", age=self._age(at))
        return self._part("store", State.LOOK if old else State.WORKING, text, told, **more)

    def ingest(self) -> PartRow:
        """Whether events arrive."""
        facts = self._facts
        if facts.known_at is None:
            return self._part("ingest", State.UNKNOWN, self._say("ingest_none"))
        number = texts.number(facts.events_last_hour)
        count = self._say("more_than", count=number) if facts.events_last_hour >= MANY_EVENTS else number
        quiet = facts.at - facts.known_at > _QUIET
        text = (
            self._say("ingest_old", age=self._age(facts.known_at))
            if quiet
            else self._say("ingest_ok", age=self._age(facts.known_at), count=count)
        )
        told = [*self._when("known_at", facts.known_at), Pair(self._say("last_hour"), count)]
        return self._part("ingest", State.LOOK if quiet else State.WORKING, text, told)

    def parity(self, decisions: bool) -> PartRow:
        """Whether decisions saw what the events say."""
        facts, checked = self._facts, self._facts.parity
        if checked is None:
            return self._part("parity", State.UNKNOWN, self._say("parity_off" if facts.parity_every_s is None else "parity_none"))
        report = checked.report
        told = list(self._parity_facts(report))
        if report.differing:
            odd = tuple(self._odd(report, decisions))
            text = self._say("parity_bad", count=texts.number(report.differing), compared=texts.number(report.compared))
            return replace(
                self._part("parity", State.FAILING, text, told, odd=odd), badge=Badge(say(self._language, "state.differs"), "bad")
            )
        if not report.compared:
            return self._part("parity", State.UNKNOWN, self._say("parity_nothing", count=texts.number(report.sampled)), told)
        every = facts.parity_every_s
        age_s = (facts.at - checked.started_at) / 1000
        if every is not None and age_s > _OVERDUE * every:
            text = self._say("parity_old", age=texts.age(age_s, self._language), every=texts.span(every, self._language))
            return self._part("parity", State.LOOK, text, told)
        return self._part("parity", State.WORKING, self._say("parity_ok", count=texts.number(report.equal)), told)

    def _parity_facts(self, report: ParityReport) -> Iterable[Pair]:
        checked = self._facts.parity
        assert checked is not None
        number = texts.number
        yield from self._when("parity_at", checked.started_at)
        since = texts.near(checked.since, self._language, self._facts.at)
        yield Pair(
            self._say("parity_sample"), self._say("parity_sample_text", count=number(report.sampled), since=since, seed=checked.seed)
        )
        yield Pair(self._say("parity_equal"), self._say("parity_equal_text", count=number(report.equal)))
        if report.differing:
            yield Pair(self._say("parity_differing"), self._say("parity_equal_text", count=number(report.differing)))
        if report.not_comparable:
            told = (say(self._language, f"why.{why}", count=number(count)) for why, count in report.not_comparable.items())
            yield Pair(self._say("parity_skipped"), ("；" if self._language == "zh" else "; ").join(told))
        took = texts.span(report.took_ms / 1000, self._language) if report.took_ms >= 1000 else f"{report.took_ms} ms"
        yield Pair(
            self._say("parity_values"),
            self._say("parity_values_text", values=number(report.values), events=number(report.events), time=took),
        )

    def _odd(self, report: ParityReport, decisions: bool) -> Iterable[OddFeature]:
        for one in [one for one in report.features if one.differing][:_SHOWN]:
            service = SERVICES.get(one.type)
            feature = service.feature(one.name) if service and one.name in service.names else None
            example = one.examples[0] if one.examples else None
            yield OddFeature(
                name=one.name,
                label=texts.capital(texts.speak(feature.meaning, self._language)) if feature else one.name,
                count=self._say("parity_odd_count", differing=texts.number(one.differing), checked=texts.number(one.checked)),
                example=""
                if example is None
                else self._say("parity_example", recorded=_exact(example.recorded), rebuilt=_exact(example.rebuilt)),
                href=f"/console/decisions/{example.record_id}" if example and decisions else "",
            )

    def confidence(self) -> PartRow:
        """Whether probabilities still mean what they say, by the labels that came back."""
        told = newest(self._facts.watched)
        judged = [one for one in told if one.labelled >= FEWEST]
        facts = [Pair(self._version(one), self._figures(one)) for one in told]
        if not judged:
            count = texts.number(sum(one.labelled for one in told))
            return self._part("confidence", State.UNKNOWN, self._say("confidence_none", count=count, fewest=FEWEST), facts)
        off = [self._version(one) for one in judged if strays(one)]
        if off:
            text = self._say("confidence_off", models=words.listed(self._language, off))
            return self._part("confidence", State.LOOK, text, facts)
        return self._part("confidence", State.WORKING, self._say("confidence_ok"), facts)

    def _version(self, one: Watched) -> str:
        return f"{words.type_name(self._language, one.type)} v{one.model_version}"

    def _figures(self, one: Watched) -> str:
        shown = [self._say("confidence_labelled", count=texts.number(one.labelled))]
        for name in ("ece", "coverage", "auc"):
            value = one.figures.get(name)
            if value is not None:
                shown.append(self._say(f"confidence_{name}", value=texts.percent(value) if name != "auc" else f"{value:.3f}"))
        return ("；" if self._language == "zh" else "; ").join(shown)

    def expiry(self) -> PartRow:
        """Whether what is past its time is forgotten."""
        run, every = self._facts.expiry, self._facts.expiry_every_s
        if run is None:
            return self._part("expiry", State.UNKNOWN, self._say("expiry_off" if every is None else "expiry_none"))
        told = self._when("expiry_at", run.started_at)
        if run.problem is not None:
            return self._part("expiry", State.LOOK, self._say("expiry_failed", why=run.problem), told)
        if every is not None and self._facts.at - run.started_at > every * 1000 + _LATE:
            text = self._say("expiry_old", age=self._age(run.started_at), every=texts.span(every, self._language))
            return self._part("expiry", State.LOOK, text, told)
        if run.done is None:
            return self._part("expiry", State.WORKING, self._say("expiry_runs"), told)
        counts = {"events": texts.number(run.done.events), "changed": texts.number(run.done.changed)}
        return self._part("expiry", State.WORKING, self._say("expiry_ok", age=self._age(run.started_at), **counts), told)

    def trainings(self, may_train: bool) -> PartRow:
        """What is learning."""
        facts = self._facts
        if facts.database_problem is not None:
            return self._part("trainings", State.UNKNOWN, self._say("unread"))
        told = [Pair(name, say(self._language, f"training.state.{state}")) for _, name, state in facts.trainings]
        text = self._say("trainings_some", count=len(facts.trainings)) if facts.trainings else self._say("trainings_none")
        if facts.failed_trainings:
            text += ("" if self._language == "zh" else " ") + self._say("trainings_failed", count=facts.failed_trainings)
        more = {"href": "/console/train", "link": self._say("trainings_all")} if may_train else {}
        return self._part("trainings", State.LOOK if facts.failed_trainings else State.WORKING, text, told, **more)


def _exact(value: float | None) -> str:
    """Every digit: here the last one counts."""
    return "–" if value is None else repr(value).removesuffix(".0")
