"""Who may see a page: sessions from cookies, roles, form tokens. The pages' routes call it; nothing else reads a cookie."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from feature_store.times import DAY
from serving.console.messages import say
from serving.console.ports import Refused, Wiring
from serving.console.session import COOKIE, LIFETIME, VISIT_COOKIE, Session
from serving.console.texts import LANGUAGES
from serving.console.views.frame import Visit
from serving.errors import Problem, ProblemKind

LANGUAGE_COOKIE = "ordinance_language"
_YEAR_S = 365 * 86_400
_KEPT_S = (LIFETIME + 7 * DAY) // 1000
"""The cookie outlives its session, so that who comes back is told that it ended. What it is worth stands in its signed content."""


class LoginNeeded(Exception):
    """Nobody is signed in; the reader is sent to the login page and back."""


class RoleRefused(Exception):
    """The reader's role may not see the page."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Reads what a request says about its reader."""

    wiring: Wiring

    def session(self, request: Request) -> Session | None:
        """The session, while its cookie is valid and its key was not revoked."""
        value = request.cookies.get(self._named(COOKIE))
        session = self.wiring.signer.from_cookie(value, self.wiring.now()) if value else None
        if session and session.key_hash and not self.wiring.accounts.still_valid(session.key_hash):
            return None
        return session

    def had_session(self, request: Request) -> bool:
        """Whether the browser still holds a session, be it over."""
        return bool(request.cookies.get(self._named(COOKIE)))

    def visit(self, request: Request) -> Visit:
        """The request as the frame of a page needs it."""
        session = self.session(request)
        nonce = session.nonce if session else request.cookies.get(self._named(VISIT_COOKIE)) or ""
        token = self.wiring.signer.form_token(nonce) if nonce else ""
        return Visit(self.language(request), request.url.path, request.url.query, session, token)

    def require(self, request: Request, action: str) -> Visit:
        """The visit of somebody who may do something.

        Raises:
            LoginNeeded: nobody is signed in.
            RoleRefused: the role may not.
        """
        visit = self.visit(request)
        if visit.session is None:
            raise LoginNeeded
        if not self.wiring.accounts.may(visit.session.role, action):
            raise RoleRefused
        return visit

    def check_form(self, request: Request, token: object) -> None:
        """Refuse a form that did not come from a page of ours in this session.

        Raises:
            Refused: 403.
        """
        session = self.session(request)
        nonce = session.nonce if session else request.cookies.get(self._named(VISIT_COOKIE)) or ""
        fits = bool(nonce) and isinstance(token, str) and self.wiring.signer.form_token_fits(nonce, token)
        if not fits or not _same_origin(request):
            raise Refused(Problem(ProblemKind.FORBIDDEN, say(self.language(request), "error.403.form")))

    def open_session(self, response: Response, session: Session) -> None:
        """Put the session into the answer's cookie."""
        self._set(response, COOKIE, self.wiring.signer.to_cookie(session), _KEPT_S)
        self._forget(response, VISIT_COOKIE)

    def close_session(self, response: Response) -> None:
        """Forget the session in the browser."""
        self._forget(response, COOKIE)

    def open_visit(self) -> str:
        """A fresh nonce for the forms of somebody who is not signed in."""
        return secrets.token_urlsafe(16)

    def keep_visit(self, response: Response, nonce: str) -> None:
        """Put the visit's nonce into the answer's cookie."""
        self._set(response, VISIT_COOKIE, nonce, 3600)

    def language(self, request: Request) -> str:
        """The language chosen in the address or earlier, else what the browser prefers, else English."""
        for chosen in (request.query_params.get("lang"), request.cookies.get(self._named(LANGUAGE_COOKIE))):
            if chosen in LANGUAGES:
                return chosen
        for part in request.headers.get("accept-language", "").split(","):
            prefix = part.split(";")[0].strip().lower().split("-")[0]
            if prefix in LANGUAGES:
                return prefix
        return "en"

    def keep_language(self, response: Response, chosen: str) -> None:
        """Remember the reader's language."""
        self._set(response, LANGUAGE_COOKIE, chosen, _YEAR_S)

    def _set(self, response: Response, name: str, value: str, seconds: int) -> None:
        secure = self.wiring.secure_cookies
        response.set_cookie(self._named(name), value, max_age=seconds, path=self._path, secure=secure, httponly=True, samesite="strict")

    def _forget(self, response: Response, name: str) -> None:
        secure = self.wiring.secure_cookies
        response.delete_cookie(self._named(name), path=self._path, secure=secure, httponly=True, samesite="strict")

    def _named(self, name: str) -> str:
        """Over TLS a name by which browsers take the cookie from this very host alone, over TLS alone (RFC 6265bis, ``__Host-``)."""
        return f"__Host-{name}" if self.wiring.secure_cookies else name

    @property
    def _path(self) -> str:
        """``__Host-`` demands the whole host; without it a cookie goes no further than the pages."""
        return "/" if self.wiring.secure_cookies else "/console"


def target_path(text: str | None) -> str:
    """Where to go after login: a page of the console, never another site."""
    if text and text.startswith("/console") and not text.startswith("/console/login"):
        parts = urlsplit(text)
        if not parts.scheme and not parts.netloc and "\\" not in text and "\n" not in text and "\r" not in text:
            return text
    return "/console"


def text_fields(form: FormData | Mapping[str, object]) -> dict[str, str]:
    """The text fields of a form."""
    return {name: value for name, value in form.items() if isinstance(value, str) and not isinstance(value, UploadFile)}


def _same_origin(request: Request) -> bool:
    """Browsers say where a form comes from; a request that says so must come from here."""
    site = request.headers.get("sec-fetch-site")
    return site in {None, "same-origin", "none"}
