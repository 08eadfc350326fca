"""``/v1/killswitch``: switch models, or a whole decision type, off at once."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from feature_store.times import format_time
from governance import killswitch
from governance.access import Action
from governance.controls import Mode
from governance.killswitch import SwitchChange
from models.specs import SPECS
from serving.api import keys
from serving.api.policies import controls_of
from serving.console.ports import Refused, Wiring
from serving.errors import fault, invalid

CHAMPION = "champion"


class SwitchBody(BaseModel):
    """Where to turn the switch of a decision type, and why."""

    model_config = ConfigDict(extra="forbid")

    type: Annotated[str, Field(min_length=1, max_length=64)]
    mode: Mode
    note: Annotated[str, Field(min_length=1, max_length=2_000)]


def routes(wiring: Wiring) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["killswitch"])

    def known() -> list[str]:
        published = {one.type for one in wiring.models.all() if CHAMPION in one.aliases}
        return [*SPECS, *sorted(published - set(SPECS))]

    @router.get("/v1/killswitch", response_model=None)
    def standing(request: Request) -> Response:
        """Where every switch stands, and who turned them."""
        keys.require(wiring, request, Action.CONSULT.value)
        engine = controls_of(wiring).engine
        turned = killswitch.standing(engine)
        items = [told(turned[kind]) if kind in turned else _untouched(kind) for kind in dict.fromkeys([*known(), *turned])]
        return JSONResponse({"items": items, "history": [told(one) for one in killswitch.turns(engine)]})

    @router.post("/v1/killswitch", response_model=None)
    def turn(request: Request, body: SwitchBody) -> Response:
        """Turn a switch; every replica obeys within a second."""
        account = keys.require(wiring, request, Action.ROLL_OUT.value)
        controls = controls_of(wiring)
        if body.type not in (types := known()):
            raise Refused(invalid([fault(["type"], f"{body.type!r} is no decision type; there are {', '.join(types)}")]))
        change = killswitch.turn(
            controls.engine, controls.scribe, decision_type=body.type, mode=body.mode, note=body.note, principal=account.principal
        )
        return JSONResponse({**told(change), "record_id": change.record_id})

    return router


def told(change: SwitchChange) -> dict[str, Any]:
    """A turn of a switch as JSON."""
    return {
        "type": change.type,
        "mode": change.mode.value,
        "note": change.note,
        "changed_by": change.changed_by,
        "changed_at": format_time(change.changed_at),
        "change_id": change.change_id,
    }


def _untouched(kind: str) -> dict[str, Any]:
    return {"type": kind, "mode": Mode.NORMAL.value, "note": "", "changed_by": None, "changed_at": None, "change_id": None}
