"""The list of model versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from serving.console import texts
from serving.console.contexts import Badge, Frame, ModelRow, ModelsPage
from serving.console.messages import say, say_or
from serving.console.ports import ModelFacts
from serving.console.views import words
from serving.console.views.training import evaluation_of

_FIRST = ("auc", "accuracy", "rmse")
_ALIAS_TONES = {"champion": "ok", "challenger": "hold", "shadow": "plain"}


def build(frame: Frame, models: Sequence[ModelFacts]) -> ModelsPage:
    """The page."""
    return ModelsPage(frame, tuple(_row(frame, model) for model in models))


def _row(frame: Frame, model: ModelFacts) -> ModelRow:
    language = frame.language
    badges = tuple(Badge(say_or(language, f"role_of_model.{alias}", alias), _ALIAS_TONES.get(alias, "plain")) for alias in model.aliases)
    return ModelRow(
        name=model.name,
        version=f"v{model.version}",
        type=words.type_name(language, model.type),
        badges=badges,
        quality=quality(language, model.report),
        when=texts.moment(model.created_at, language, millis=False),
        by=say(language, "models.by", who=model.created_by),
        digest=model.digest,
        decisions_href="/console/decisions?" + urlencode({"type": model.type}) if frame.search else "",
        endpoint=f"/v1/decisions/{model.type}",
    )


def quality(language: str, report: Mapping[str, Any]) -> str:
    """The first of the usual metrics with its interval."""
    metrics: Mapping[str, Any] = evaluation_of(report).get("metrics") or {}
    for name in _FIRST:
        figure = metrics.get(name)
        if isinstance(figure, Mapping) and isinstance(figure.get("value"), int | float):
            text = f"{say(language, f'metric.{name}')} {figure['value']:.3f}"
            low, high = figure.get("low"), figure.get("high")
            return f"{text} ({low:.3f}–{high:.3f})" if isinstance(low, int | float) and isinstance(high, int | float) else text
    return "–"
