"""``/v1/reservations``: what becomes of the pieces that a plan has promised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy.exc import DBAPIError
from starlette.responses import JSONResponse, Response

from feature_store.reservations import Held, ReservationOver, ReservationUnknown
from feature_store.times import format_time
from governance.access import Action
from serving.api import keys
from serving.console.ports import Refused, Reservations, Wiring
from serving.errors import Problem, ProblemKind, not_found, unavailable


def routes(wiring: Wiring) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["reservations"])

    def end(request: Request, reservation_id: str, how: Callable[[Reservations, str, str], Held]) -> Response:
        account = keys.require(wiring, request, Action.DECIDE.value)
        try:
            if wiring.reservations is None:
                raise ReservationUnknown(f"There is no reservation {reservation_id!r}.")
            return JSONResponse(told(how(wiring.reservations, reservation_id, account.principal)))
        except ReservationUnknown as error:
            raise Refused(not_found(f"{error.args[0]} A reservation is named by the plan that made it, for the one who asked.")) from error
        except ReservationOver as error:
            raise Refused(Problem(ProblemKind.CONFLICT, str(error))) from error
        except DBAPIError as error:
            detail = "The reservation could not be changed: the database does not answer. Send the same again: it counts once."
            raise Refused(unavailable(ProblemKind.UNAVAILABLE, detail, 2)) from error

    @router.post("/v1/reservations/{reservation_id}/settle", response_model=None)
    def settle(request: Request, reservation_id: str) -> Response:
        """The pieces have left the shelf."""
        return end(request, reservation_id, lambda store, name, principal: store.settle(name, principal))

    @router.post("/v1/reservations/{reservation_id}/release", response_model=None)
    def release(request: Request, reservation_id: str) -> Response:
        """The pieces are not needed any more."""
        return end(request, reservation_id, lambda store, name, principal: store.release(name, principal))

    return router


def told(held: Held) -> dict[str, Any]:
    """A reservation as JSON."""
    return {
        "id": held.reservation_id,
        "order_id": held.order_id,
        "order_version": held.order_version,
        "state": held.state.value,
        "reserved_at": format_time(held.reserved_at),
        "expires_at": format_time(held.expires_at),
        "ended_at": None if held.ended_at is None else format_time(held.ended_at),
        "pieces": [{"node_id": piece.node_id, "sku": piece.sku, "qty": piece.qty} for piece in held.pieces],
        "links": {"decision": f"/v1/decisions/{held.reservation_id}"},
    }
