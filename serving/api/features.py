"""``/v1/features``: what models see, in words that people read, and how it is doing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from feature_store.times import format_time
from feature_store.views.definition import Feature, duration
from serving.api import keys
from serving.console.ports import Wiring
from serving.console.views.frame import MODELS
from serving.console.watching import ColumnFacts, FeatureFacts
from serving.live_features import QUANTILES, LiveFeature

REQUEST = "request"
"""What features and columns are about that read no history."""

_UNSAID = re.compile(r",? ?\b\w+=(?:None|False|0\.0|0)\b(?!\.)")
"""Parts of a formula that say nothing."""
_LENGTH = re.compile(r"\b(within|lag|per)=(\d+)")


def routes(wiring: Wiring) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["features"])

    @router.get("/v1/features", response_model=None)
    def listing(
        request: Request,
        type: Annotated[str | None, Query(max_length=64, description="Features of this decision type.", examples=["fraud"])] = None,  # noqa: A002
        entity: Annotated[
            str | None, Query(max_length=32, description="Features that read histories of this kind of entity.", examples=["customer"])
        ] = None,
        q: Annotated[str | None, Query(max_length=128, description="Words in name or meaning.", examples=["return rate"])] = None,
    ) -> Response:
        """Every feature, with its freshness and spread over the newest decisions; and the columns of custom types."""
        keys.require(wiring, request, MODELS)
        book = wiring.features.book()
        body = {
            "items": [told(one) for one in narrowed(book.features, type, entity, q)],
            "columns": [told_column(one) for one in narrowed_columns(book.columns, type, entity, q)],
            "looked_at": {
                kind: {"decisions": one.decisions, "others": one.others, "since": None if one.since is None else format_time(one.since)}
                for kind, one in book.looked.items()
            },
            "at": format_time(book.at),
        }
        return Response(orjson.dumps(body), headers={"Cache-Control": "no-store"}, media_type="application/json")

    return router


def narrowed(features: Iterable[FeatureFacts], kind: str | None, entity: str | None, words: str | None) -> list[FeatureFacts]:
    """The features of a type, about a kind of entity, with all of some words in their name or meaning."""
    wanted = (words or "").casefold().split()
    return [
        one
        for one in features
        if (not kind or one.type == kind)
        and (not entity or entity in entities(one))
        and all(word in f"{one.feature.name} {one.feature.en} {one.feature.zh} {one.feature.reason}".casefold() for word in wanted)
    ]


def narrowed_columns(columns: Iterable[ColumnFacts], kind: str | None, entity: str | None, words: str | None) -> list[ColumnFacts]:
    """The columns of a type with all of some words in their name or in what is made of them; requests alone tell them."""
    wanted = (words or "").casefold().split()

    def text(one: ColumnFacts) -> str:
        return " ".join(
            [one.column, *(f"{card.name} {' '.join(card.label.values())} {card.reason_code}" for card in one.features)]
        ).casefold()

    return [
        one
        for one in columns
        if (not kind or one.type == kind) and entity in {None, "", REQUEST} and all(word in text(one) for word in wanted)
    ]


def entities(one: FeatureFacts) -> tuple[str, ...]:
    """The kinds of entities whose histories a feature reads; ``request`` when it reads none."""
    read = dict.fromkeys(entity.value for entity, _ in one.feature.calculation.sources)
    return tuple(read) or (REQUEST,)


def formula(feature: Feature) -> str:
    """The formula without what says nothing, lengths of time as people write them."""
    return _LENGTH.sub(lambda found: f"{found[1]}={duration(int(found[2]))}", _UNSAID.sub("", feature.calculation.formula))


def told(one: FeatureFacts) -> dict[str, Any]:
    """A feature as JSON."""
    feature = one.feature
    return {
        "name": feature.name,
        "type": one.type,
        "dtype": feature.dtype.value,
        "unit": feature.unit.value or None,
        "meaning": dict(feature.meaning),
        "owner": feature.owner.value,
        "entities": list(entities(one)),
        "source_events": [kind.value for kind in feature.source_events],
        "window": feature.window,
        "ttl_s": None if feature.ttl is None else feature.ttl / 1000,
        "default": None if math.isnan(feature.default) else feature.default,
        "actionable": feature.actionable,
        "personal": feature.personal,
        "reason": feature.reason,
        "group": feature.group.value,
        "formula": formula(feature),
        "version": feature.version,
        "view_version": one.view_version,
        "usual": one.card.usual,
        "live": None if one.live is None else _live(one.live),
    }


def told_column(one: ColumnFacts) -> dict[str, Any]:
    """A column as JSON."""
    name, version, digest = one.model
    return {
        "type": one.type,
        "column": one.column,
        "kind": one.kind.value,
        "required": one.required,
        "model": {"name": name, "version": version, "digest": digest},
        "features": [
            {
                "name": card.name,
                "meaning": dict(card.label),
                "unit": card.unit or None,
                "reason": card.reason_code,
                "usual": None if card.usual is None else card.raw(card.usual),
                "categories": list(card.categories),
            }
            for card in one.features
        ],
    }


def _live(live: LiveFeature) -> dict[str, Any]:
    spread = live.spread
    return {
        "values": live.values,
        "defaults": live.defaults,
        "requests": live.requests,
        "newest_at": None if live.newest_at is None else format_time(live.newest_at),
        "age_s": live.age_s,
        "old_age_s": live.old_age_s,
        "quantiles": None
        if spread is None
        else {f"p{round(100 * at):02d}": value for at, value in zip(QUANTILES, spread.quantiles, strict=True)},
        "histogram": None if spread is None else {"edges": list(spread.edges), "counts": list(spread.bins)},
    }
