"""The list of features: what each means, how its values lie, how fresh it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from feature_store.times import Millis
from feature_store.views.definition import Feature
from serving.api.features import entities, formula, narrowed, narrowed_columns
from serving.console import texts
from serving.console.contexts import Column, FeatureGroup, FeatureRow, FeaturesPage, Frame, Option, Pair
from serving.console.messages import say, say_or
from serving.console.views import words
from serving.console.watching import ColumnFacts, FeatureBook, FeatureFacts, Looked
from serving.live_features import LEAST_PERSONAL, LiveFeature, Spread

_MOSTLY = 0.9
"""A share of unknown values that a person should look at."""

_CATEGORIES = 12
"""Texts of a column that are listed."""


def build(frame: Frame, book: FeatureBook, query: Mapping[str, str]) -> FeaturesPage:
    """The page, narrowed to what the query asks for."""
    kind, entity, typed = (query.get(name, "").strip()[:128] for name in ("type", "entity", "q"))
    shown, columns = narrowed(book.features, kind, entity, typed), narrowed_columns(book.columns, kind, entity, typed)
    kinds = list(dict.fromkeys([*(one.type for one in book.features), *(one.type for one in book.columns)]))
    about = dict.fromkeys(entity for one in book.features for entity in entities(one))
    language = frame.language
    return FeaturesPage(
        frame=frame,
        types=_options(language, kind, [(one, words.type_name(language, one)) for one in kinds]),
        entities=_options(language, entity, sorted(((one, entity_name(language, one)) for one in about), key=lambda pair: pair[1])),
        words=typed,
        narrowed=bool(kind or entity or typed),
        count=say(language, "features.count", shown=len(shown) + len(columns), all=len(book.features) + len(book.columns)),
        groups=(
            *(_group(language, one, [it for it in shown if it.type == one], book) for one in kinds if any(it.type == one for it in shown)),
            *(_columns(language, one, [it for it in columns if it.type == one]) for one in kinds if any(it.type == one for it in columns)),
        ),
    )  # fmt: skip


def entity_name(language: str, entity: str) -> str:
    """A kind of entity as people call it."""
    return say_or(language, f"entity.{entity}", entity.replace("_", " "))


def _options(language: str, chosen: str, choices: Sequence[tuple[str, str]]) -> tuple[Option, ...]:
    every = Option("", say(language, "features.any"), not chosen)
    return (every, *(Option(value, texts.capital(label), value == chosen) for value, label in choices))


def _group(language: str, kind: str, features: Sequence[FeatureFacts], book: FeatureBook) -> FeatureGroup:
    return FeatureGroup(
        anchor=f"type-{kind}",
        label=words.type_name(language, kind),
        looked=_looked(language, book.looked.get(kind, Looked()), book.at),
        version=features[0].view_version,
        rows=tuple(_row(language, one, book.looked.get(kind, Looked())) for one in features),
    )


def _columns(language: str, kind: str, columns: Sequence[ColumnFacts]) -> FeatureGroup:
    name, version, digest = columns[0].model
    return FeatureGroup(
        anchor=f"type-{kind}",
        label=words.type_name(language, kind),
        looked=say(language, "features.columns", name=name, version=version),
        version=digest[:19],
        rows=tuple(_column_row(language, number, one) for number, one in enumerate(columns, start=1)),
    )


def _column_row(language: str, number: int, one: ColumnFacts) -> FeatureRow:
    usual = [
        say(language, "features.usual", value=card.write(card.usual, language))
        for card in one.features
        if card.usual is not None and len(one.features) == 1
    ]
    return FeatureRow(
        anchor=f"{one.type}-column-{number}",
        name=one.column,
        label=one.column,
        about=say(language, "features.row"),
        tags=(say(language, "features.required"),) if one.required else (),
        bars=(), bars_label="", usual_x="", range="".join(usual), usual="",
        fresh=say(language, "features.age_request"), defaults="", tone="plain",
        facts=tuple(_column_facts(language, one)),
    )  # fmt: skip


def _column_facts(language: str, one: ColumnFacts) -> Iterable[Pair]:
    yield Pair(say(language, "features.f_kind"), say(language, f"columns.{one.kind.value}"))
    yield Pair(say(language, "features.f_owner"), say(language, "features.owner_file"))
    if len(one.features) > 1:
        parts = (
            f"{card.label[language]} ({card.write(card.usual, language)})" if card.usual is not None else card.label[language]
            for card in one.features
        )
        yield Pair(say(language, "features.f_parts"), words.listed(language, parts))
    for card in one.features:
        if card.categories:
            told = card.categories[:-1]
            more = [say(language, "features.more", count=len(told) - _CATEGORIES)] if len(told) > _CATEGORIES else []
            yield Pair(say(language, "features.f_categories"), words.listed(language, (*told[:_CATEGORIES], *more)))
    yield Pair(say(language, "features.f_required"), say(language, "features.yes" if one.required else "features.no"))
    yield Pair(say(language, "features.f_reason"), one.features[0].reason_code if one.features else "–", True)


def _looked(language: str, looked: Looked, at: Millis) -> str:
    if looked.since is None:
        told = say(language, "features.looked_none")
    else:
        told = say(language, "features.looked", count=texts.number(looked.decisions), since=texts.near(looked.since, language, at))
    others = say(language, "features.others", count=texts.number(looked.others)) if looked.others else ""
    return (" " if language == "en" else "").join(part for part in (told, others) if part)


def _row(language: str, one: FeatureFacts, looked: Looked) -> FeatureRow:
    feature, live = one.feature, one.live
    spread = live.spread if live else None
    told = _range(language, one, looked)
    stale = bool(live and feature.ttl is not None and live.age_s is not None and live.age_s * 1000 > feature.ttl)
    missing = bool(live and live.defaults >= _MOSTLY)
    return FeatureRow(
        anchor=f"{one.type}-{feature.name}",
        name=feature.name,
        label=texts.capital(texts.speak(feature.meaning, language)),
        about=words.listed(language, (entity_name(language, entity) for entity in entities(one))),
        tags=tuple(
            say(language, key) for key, on in (("features.personal", feature.personal), ("features.actionable", feature.actionable)) if on
        ),
        bars=_bars(language, one, spread) if spread else (),
        bars_label=say(language, "features.drawing", name=feature.name, range=told),
        usual_x=_usual_x(one, spread) if spread else "",
        range=told,
        usual="" if one.card.usual is None else say(language, "features.usual", value=written(language, one, one.card.usual)),
        fresh=_fresh(language, feature, live),
        defaults=_defaults(language, live),
        tone="hold" if stale or missing else "plain",
        facts=tuple(_facts(language, one)),
    )


def written(language: str, one: FeatureFacts, value: float) -> str:
    """A value as its card writes it."""
    text = {tongue: one.card.write(value, tongue) for tongue in texts.LANGUAGES}
    return texts.told(value, one.feature.unit.value or None, text, language)


def _range(language: str, one: FeatureFacts, looked: Looked) -> str:
    live = one.live
    if live is None:
        return say(language, "features.no_figures")
    if live.spread is None:
        few = one.feature.personal and looked.decisions < LEAST_PERSONAL
        return say(language, "features.too_few", count=LEAST_PERSONAL) if few else say(language, "features.unknown_all")
    _, low, _, high, _ = live.spread.quantiles
    told = (written(language, one, low), written(language, one, high))
    return (
        say(language, "features.always", value=told[0]) if told[0] == told[1] else say(language, "features.half", low=told[0], high=told[1])
    )


def _bars(language: str, one: FeatureFacts, spread: Spread) -> tuple[Column, ...]:
    """The histogram, in per cent of the drawing; a bin that holds anything is seen."""
    most = max(spread.bins)
    step = 100 / len(spread.bins)
    single = len(spread.edges) == len(spread.bins)
    width = min(step * 0.86, 24.0)
    columns = []
    for index, count in enumerate(spread.bins):
        height = max(100 * count / most, 3.0) if count else 0.0
        low = written(language, one, spread.edges[index])
        label = (
            say(language, "features.bar", value=low, count=texts.number(count))
            if single
            else say(language, "features.bin", low=low, high=written(language, one, spread.edges[index + 1]), count=texts.number(count))
        )
        columns.append(
            Column(f"{index * step + (step - width) / 2:.2f}%", f"{100 - height:.2f}%", f"{width:.2f}%", f"{height:.2f}%", label)
        )
    return tuple(columns)


def _usual_x(one: FeatureFacts, spread: Spread) -> str:
    """Where the training's usual value lies among the bins; empty where it lies beyond them."""
    usual, edges = one.card.usual, spread.edges
    if usual is None or math.isnan(usual):
        return ""
    if len(edges) == len(spread.bins):
        return words.length((edges.index(usual) + 0.5) / len(edges)) if usual in edges else ""
    return words.length((usual - edges[0]) / (edges[-1] - edges[0])) if edges[0] <= usual <= edges[-1] else ""


def _fresh(language: str, feature: Feature, live: LiveFeature | None) -> str:
    if feature.calculation.entity is None and not feature.calculation.sources:
        return say(language, "features.age_request")
    if live is None:
        return ""
    if live.age_s is None or live.old_age_s is None:
        if live.requests:
            return say(language, "features.age_request")
        return say(language, "features.age_none")
    return say(language, "features.age", age=texts.age(live.age_s, language), old=texts.span(live.old_age_s, language))


def _defaults(language: str, live: LiveFeature | None) -> str:
    if live is None:
        return ""
    return say(language, "features.defaults", share=texts.percent(live.defaults)) if live.defaults else say(language, "features.known")


def _facts(language: str, one: FeatureFacts) -> Iterable[Pair]:
    feature = one.feature

    def pair(name: str, value: str, *, code: bool = False) -> Pair:
        return Pair(say(language, f"features.{name}"), value, code)

    kind = say(language, f"dtype.{feature.dtype.value}")
    unit = feature.unit.value
    yield pair("f_kind", f"{kind} · {say_or(language, f'unit.{unit}', unit)}" if unit else kind)
    yield pair("f_owner", say(language, f"owner.{feature.owner.value}"))
    yield pair("f_entity", words.listed(language, (entity_name(language, entity) for entity in entities(one))))
    if feature.source_events:
        yield pair("f_events", ", ".join(kind.value for kind in feature.source_events), code=True)
    yield pair("f_window", _window(language, feature))
    yield pair("f_ttl", say(language, "features.ttl_any") if feature.ttl is None else texts.span(feature.ttl / 1000, language))
    yield pair("f_default", _default(language, one))
    yield pair("f_actionable", say(language, "features.yes" if feature.actionable else "features.no"))
    yield pair("f_personal", say(language, "features.yes" if feature.personal else "features.no"))
    yield pair("f_reason", feature.reason, code=True)
    yield pair("f_formula", formula(feature), code=True)
    yield pair("f_version", feature.version, code=True)


def _window(language: str, feature: Feature) -> str:
    if feature.calculation.within is not None:
        return texts.span(feature.calculation.within / 1000, language)
    return say(language, "features.window_all" if feature.calculation.sources else "features.window_none")


def _default(language: str, one: FeatureFacts) -> str:
    default = one.feature.default
    return say(language, "features.default_unknown") if math.isnan(default) else written(language, one, default)
