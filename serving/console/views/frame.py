"""What surrounds a page: the navigation that the reader's role may use, the language, the form token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from governance.access import Action
from serving.console.contexts import Frame, NavItem
from serving.console.messages import say, say_or
from serving.console.session import Session

SEARCH = Action.INSPECT.value
TRAIN = Action.TRAIN.value
MODELS = Action.CONSULT.value
FEATURES = Action.CONSULT.value
HEALTH = Action.WATCH.value
LEDGER = Action.WATCH.value
SECTIONS = (
    ("decisions", "/console/decisions", SEARCH),
    ("train", "/console/train", TRAIN),
    ("models", "/console/models", MODELS),
    ("features", "/console/features", FEATURES),
    ("health", "/console/health", HEALTH),
    ("ledger", "/console/ledger", LEDGER),
)
"""Sections of the navigation: their key, address and the action that a role needs."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request to a page, as far as the frame is concerned."""

    language: str
    path: str
    query: str
    session: Session | None
    form_token: str


def build(visit: Visit, title: str, may: Callable[[str, str], bool]) -> Frame:
    """The frame of one page."""
    session = visit.session
    return Frame(
        language=visit.language,
        title=title,
        nav=tuple(
            NavItem(
                href,
                say(visit.language, f"nav.{key}"),
                visit.path == href or visit.path.startswith(href + "/") or _belongs(visit.path, key),
            )
            for key, href, action in SECTIONS
            if session and may(session.role, action)
        ),
        other_href=_in_other_language(visit),
        who=session.principal if session else None,
        role=say_or(visit.language, f"role.{session.role}", session.role) if session else None,
        form_token=visit.form_token,
        search=bool(session and may(session.role, SEARCH)),
    )


def first_page(role: str, may: Callable[[str, str], bool]) -> str:
    """Where a role begins; one that may see no section reads about the API."""
    return next((href for _, href, action in SECTIONS if may(role, action)), "/console/docs")


def _belongs(path: str, section: str) -> bool:
    return section == "decisions" and path.startswith("/console/orders/")


def _in_other_language(visit: Visit) -> str:
    kept = [(name, value) for name, value in parse_qsl(visit.query) if name not in {"lang", "token"}]
    other = "en" if visit.language == "zh" else "zh"
    return f"{visit.path}?{urlencode([*kept, ('lang', other)])}"
