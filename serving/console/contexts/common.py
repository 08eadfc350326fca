"""What every page shares: the frame, small marks, and the pages around the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class NavItem:
    """One entry of the main navigation."""

    href: str
    label: str
    current: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """What surrounds every page.

    Attributes:
        other_href: this page in the other language.
        who: the principal; ``None`` before login.
        form_token: what every form of the page carries.
        search: whether the reader may search decisions.
    """

    language: str
    title: str
    nav: tuple[NavItem, ...]
    other_href: str
    who: str | None
    role: str | None
    form_token: str
    search: bool = False


@dataclass(frozen=True, slots=True)
class Badge:
    """An outcome or a state; the tone is ``ok``, ``hold``, ``bad`` or ``plain``."""

    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a list."""

    value: str
    label: str
    selected: bool = False


@dataclass(frozen=True, slots=True)
class Crumb:
    """One step of the path to a page; the last has no link."""

    label: str
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """A probability on a line from 0 to 1; lengths in per cent of the line's width."""

    label: str
    tone: str
    left: str
    width: str
    point: str
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One of the few facts that matter most."""

    label: str
    value: str
    unit: str = ""
    note: str = ""
    tone: str = "plain"
    scale: Scale | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar on a shared scale; ``x`` and ``width`` in per cent."""

    x: str
    width: str
    kind: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis."""

    x: str
    label: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A name and what it stands for; ``code`` sets the value in a fixed-width face."""

    label: str
    value: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class CostRow:
    """One term of what a plan costs; the share of the total is a width in per cent."""

    label: str
    amount: str
    width: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a file: where, what, and what to do."""

    where: str
    message: str
    fix: str
    tone: str


@dataclass(frozen=True, slots=True)
class LoginPage:
    """``/console/login``; the tone is ``bad`` where the key was wrong, ``hold`` where a session ended, empty where there is nothing to say."""

    TEMPLATE: ClassVar[str] = "login.html"
    frame: Frame
    problem: str
    tone: str
    target: str


@dataclass(frozen=True, slots=True)
class SignedInPage:
    """The step between a login link and the first page: the cookie is sent along only from a page of our own."""

    TEMPLATE: ClassVar[str] = "signed_in.html"
    frame: Frame
    target: str


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """Any page that could not be shown: what happened and what to do."""

    TEMPLATE: ClassVar[str] = "error.html"
    frame: Frame
    status: int
    heading: str
    text: str
    problems: tuple[Problem, ...]
    action_href: str
    action_label: str
