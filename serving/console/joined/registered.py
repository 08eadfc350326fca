"""Model versions on the allow-list, what they are used for, and how one is published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine

from governance import promotion
from serving.console.joined.cards import Cards
from serving.console.ports import DriverFact, ModelFacts, Refused
from serving.errors import Problem, ProblemKind

Publish = Callable[[str, int, str], None]
"""Makes a version the champion of its type: name, version, principal. Raises :class:`governance.promotion.ModelRefused`."""


class RegisteredModels:
    """Fulfils :class:`serving.console.ports.Models`.

    Args:
        engine: of the database.
        cards: of the artifacts.
        publish: puts a version in service; ``None`` where no one person alone may.
    """

    def __init__(self, engine: Engine, cards: Cards, publish: Publish | None) -> None:
        self._engine = engine
        self._cards = cards
        self._publish = publish

    def all(self) -> Sequence[ModelFacts]:
        """Every version, newest first."""
        versions = promotion.versions(self._engine)
        aliases = {kind: self._aliases(kind) for kind in {version.type for version in versions}}
        return [_facts(version, aliases[version.type]) for version in versions]

    def get(self, name: str, version: int) -> ModelFacts | None:
        """One version."""
        found = promotion.find_version(self._engine, name, version)
        return _facts(found, self._aliases(found.type)) if found else None

    def request_schema(self, name: str, version: int) -> Mapping[str, Any] | None:
        """JSON schema of a custom type's row."""
        encoder = self._encoder(name, version)
        return encoder.json_schema() if encoder else None

    def example(self, name: str, version: int) -> Mapping[str, Any] | None:
        """A row that a custom type can be asked about."""
        encoder = self._encoder(name, version)
        return encoder.example() if encoder else None

    def drivers(self, name: str, version: int) -> Sequence[DriverFact]:
        """What a version splits on, the largest share of the gain first."""
        found = promotion.find_version(self._engine, name, version)
        return [DriverFact(it.label, it.share) for it in self._cards.drivers(found.digest)] if found else []

    @property
    def can_publish(self) -> bool:
        """Whether one person alone may put a version in service."""
        return self._publish is not None

    def publish(self, name: str, version: int, principal: str) -> None:
        """Make a version the champion of its type."""
        if self._publish is None:
            raise Refused(Problem(ProblemKind.CONFLICT, "On this home a second person puts a version in service."))
        try:
            self._publish(name, version, principal)
        except (promotion.ModelRefused, promotion.ModelNotAllowed) as error:
            raise Refused(Problem(ProblemKind.CONFLICT, str(error))) from error

    def _encoder(self, name: str, version: int) -> Any:
        found = promotion.find_version(self._engine, name, version)
        card = self._cards.find(found.digest) if found else None
        return card.encoder if card else None

    def _aliases(self, kind: str) -> Mapping[str, tuple[str, int]]:
        """What each alias of a decision type points at now."""
        newest: dict[str, tuple[str, int]] = {}
        for change in promotion.history(self._engine, kind):
            newest.setdefault(change.alias, (change.name, change.version))
        return newest


def _facts(version: promotion.ModelVersion, aliases: Mapping[str, tuple[str, int]]) -> ModelFacts:
    return ModelFacts(
        name=version.name,
        version=version.version,
        type=version.type,
        template=version.template,
        digest=version.digest,
        created_by=version.created_by,
        created_at=version.created_at,
        aliases=tuple(alias for alias, target in aliases.items() if target == (version.name, version.version)),
        report=version.report,
    )
