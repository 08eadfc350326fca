"""``/v1/policies`` and ``/v1/approvals``: save a policy, put it before a second person, roll it out, roll it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from feature_store.order import Moment
from feature_store.times import format_time
from governance import approvals, policy_rollout, policy_store
from governance.access import Action
from governance.approvals import Approval, ApprovalRefused, ApprovalUnknown, OwnWork
from governance.backtest import NEWEST, backtest
from governance.policy_document import PolicyInvalid
from governance.policy_rollout import Moved, PolicyUnknown, RolloutRefused, Standing
from governance.policy_store import PolicyVersion
from serving.api import keys
from serving.console.ports import Refused, Wiring
from serving.controls import Controls
from serving.errors import Problem, ProblemKind, fault, invalid, not_found, unavailable

Note = Annotated[str, Field(max_length=2_000, description="why; kept in the record")]


class SubmitBody(BaseModel):
    """Puts a version before a second person; without a version the newest."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=1, le=keys.LAST_VERSION)] | None = None
    note: Note = ""


class ApprovalBody(BaseModel):
    """A second person's word."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "refuse"]
    note: Note = ""


class RolloutBody(BaseModel):
    """Lets an approved version judge. A policy judges or it does not, so its only stage is ``champion``."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=1, le=keys.LAST_VERSION)]
    stage: Literal["champion"] = "champion"
    note: Note = ""


class RollbackBody(BaseModel):
    """Returns to the version that was in force before."""

    model_config = ConfigDict(extra="forbid")

    note: Note = ""


class BacktestBody(BaseModel):
    """Which past decisions to compute again under the version; by default the newest 5,000 of its type."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=1, le=keys.LAST_VERSION, description="by default the newest; the path may name it instead")] | None = (
        None
    )
    since: Annotated[Moment | None, Field(description="the first decision time looked at")] = None
    until: Annotated[Moment | None, Field(description="the first not looked at any more")] = None
    limit: Annotated[int, Field(ge=1, le=NEWEST)] = NEWEST
    examples: Annotated[int, Field(ge=0, le=100)] = 20


def controls_of(wiring: Wiring) -> Controls:
    """What policies, lists and switches are changed with.

    Raises:
        Refused: nothing is changed here.
    """
    if wiring.controls is None:
        raise Refused(unavailable(ProblemKind.UNAVAILABLE, "Policies, lists and switches are not changed here.", 60))
    return wiring.controls


def routes(wiring: Wiring) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["policies"])
    _reading(router, wiring)
    _changing(router, wiring)
    _submitting(router, wiring)
    _backtesting(router, wiring)
    return router


def _reading(router: APIRouter, wiring: Wiring) -> None:
    @router.get("/v1/policies", response_model=None)
    def listing(request: Request) -> Response:
        """Every version of every policy, newest first, and which of them judge."""
        keys.require(wiring, request, Action.CONSULT.value)
        controls = controls_of(wiring)
        return JSONResponse({"items": _lines(controls, policy_store.policy_versions(controls.engine))})

    @router.get("/v1/policies/{policy_id}", response_model=None)
    def one(request: Request, policy_id: str) -> Response:
        """A policy: what is in force, its versions, and how it came about."""
        keys.require(wiring, request, Action.CONSULT.value)
        controls = controls_of(wiring)
        versions = _versions(controls, policy_id)
        lines = _lines(controls, versions)
        judging = next((line for line in lines if line["state"] == "in_force"), None)
        shown = next(one for one in versions if judging is None or one.version == judging["version"])
        steps = [
            {"version": s.version, "how": s.how, "changed_by": s.changed_by, "changed_at": format_time(s.changed_at), "note": s.note}
            for s in policy_rollout.steps(controls.engine, policy_id)
        ]
        head = {"id": policy_id, "type": versions[0].type, "in_force": judging, "versions": lines, "history": steps}
        return JSONResponse({**head, "document": dict(shown.document)})

    @router.get("/v1/policies/{policy_id}/versions", response_model=None)
    def versions(request: Request, policy_id: str) -> Response:
        """The versions of one policy, newest first."""
        keys.require(wiring, request, Action.CONSULT.value)
        controls = controls_of(wiring)
        return JSONResponse({"items": _lines(controls, _versions(controls, policy_id))})

    @router.get("/v1/policies/{policy_id}/versions/{version}", response_model=None)
    def version_of(request: Request, policy_id: str, version: keys.PathVersion) -> Response:
        """One version with its document and what was said of it."""
        keys.require(wiring, request, Action.CONSULT.value)
        controls = controls_of(wiring)
        found = next((one for one in _versions(controls, policy_id) if one.version == version), None)
        if found is None:
            raise Refused(not_found(f"There is no version {version} of a policy {policy_id!r}."))
        said = [approval_json(one) for one in approvals.approvals_of(controls.engine, "policy", policy_id) if one.version == version]
        return JSONResponse({**_lines(controls, [found])[0], "document": dict(found.document), "approvals": said})

    @router.get("/v1/approvals", response_model=None)
    def waiting(request: Request, state: Literal["open", "approved", "refused"] | None = None) -> Response:
        """What was put before a second person, newest first."""
        keys.require(wiring, request, Action.CONSULT.value)
        found = approvals.approvals_of(controls_of(wiring).engine, "policy", state=state)
        return JSONResponse({"items": [approval_json(one) for one in found]})


def _changing(router: APIRouter, wiring: Wiring) -> None:
    @router.post("/v1/policies", response_model=None)
    def save(request: Request, document: Annotated[dict[str, Any], Body()]) -> Response:
        """Save a document as the next version of its policy, or say all that is wrong with it."""
        account = keys.require(wiring, request, Action.WRITE_POLICY.value)
        controls = controls_of(wiring)
        with _refusals():
            saved = policy_store.save_policy(controls.engine, controls.scribe, document, account.principal)
        line = _lines(controls, [saved.version])[0]
        warnings = [fault(loc, msg) for loc, msg in saved.warnings]
        body = {**line, "new": saved.new, "warnings": warnings, "record_id": saved.record_id}
        return JSONResponse(body, 201 if saved.new else 200, {"Location": line["links"]["self"]})

    @router.post("/v1/policies/{policy_id}/rollout", response_model=None)
    def rollout(request: Request, policy_id: str, body: RolloutBody) -> Response:
        """Let an approved version judge; every replica knows it within a second."""
        account = keys.require(wiring, request, Action.ROLL_OUT.value)
        controls = controls_of(wiring)
        with _refusals():
            moved = policy_rollout.roll_out(
                controls.engine, controls.scribe, policy_id, body.version, note=body.note, principal=account.principal
            )
        return JSONResponse(_moved(moved))

    @router.post("/v1/policies/{policy_id}/rollback", response_model=None)
    def rollback(request: Request, policy_id: str, body: Annotated[RollbackBody | None, Body()] = None) -> Response:
        """Return to the version before; it was approved when it was rolled out."""
        account = keys.require(wiring, request, Action.ROLL_OUT.value)
        controls = controls_of(wiring)
        note = body.note if body is not None else ""
        with _refusals():
            moved = policy_rollout.roll_back(controls.engine, controls.scribe, policy_id, note=note, principal=account.principal)
        return JSONResponse(_moved(moved))


def _submitting(router: APIRouter, wiring: Wiring) -> None:
    def put_before(request: Request, policy_id: str, version: int | None, note: str) -> Response:
        account = keys.require(wiring, request, Action.WRITE_POLICY.value)
        controls = controls_of(wiring)
        with _refusals():
            made, new = policy_rollout.submit_policy(
                controls.engine, controls.scribe, policy_id, version, note=note, principal=account.principal
            )
        return JSONResponse(approval_json(made), 201 if new else 200)

    @router.post("/v1/policies/{policy_id}/submit", response_model=None)
    def submit(request: Request, policy_id: str, body: Annotated[SubmitBody | None, Body()] = None) -> Response:
        """Put a version before a second person; by default the newest."""
        return put_before(request, policy_id, body.version if body else None, body.note if body else "")

    @router.post("/v1/policies/{policy_id}/versions/{version}/submit", response_model=None)
    def submit_version(
        request: Request, policy_id: str, version: keys.PathVersion, body: Annotated[RollbackBody | None, Body()] = None
    ) -> Response:
        """Put this version before a second person."""
        return put_before(request, policy_id, version, body.note if body else "")

    @router.post("/v1/approvals/{approval_id}", response_model=None)
    def decide(request: Request, approval_id: str, body: ApprovalBody) -> Response:
        """Approve or refuse what somebody else made and submitted."""
        account = keys.require(wiring, request, Action.APPROVE.value)
        controls = controls_of(wiring)
        with _refusals():
            decided = approvals.decide(
                controls.engine,
                controls.scribe,
                approval_id,
                approve=body.decision == "approve",
                note=body.note,
                principal=account.principal,
            )
        return JSONResponse(approval_json(decided))


def _backtesting(router: APIRouter, wiring: Wiring) -> None:
    def compared(request: Request, policy_id: str, version: int | None, body: BacktestBody) -> Response:
        keys.require(wiring, request, Action.WRITE_POLICY.value)
        controls = controls_of(wiring)
        if controls.models is None:
            raise Refused(unavailable(ProblemKind.UNAVAILABLE, "Nothing is computed again here.", 60))
        versions = _versions(controls, policy_id)
        wanted = version or body.version or versions[0].version
        found = next((one for one in versions if one.version == wanted), None)
        if found is None:
            raise Refused(not_found(f"There is no version {wanted} of a policy {policy_id!r}."))
        policy = policy_store.ready(found)
        told = backtest(
            controls.engine, controls.models, since=body.since, until=body.until, policy=policy, limit=body.limit, examples=body.examples
        )
        return JSONResponse({"policy": {"id": policy.id, "version": policy.version, "digest": policy.digest}, **told.to_json()})

    @router.post("/v1/policies/{policy_id}/backtest", response_model=None)
    def newest(request: Request, policy_id: str, body: Annotated[BacktestBody | None, Body()] = None) -> Response:
        """What a version, by default the newest, would have changed among past decisions."""
        return compared(request, policy_id, None, body or BacktestBody())

    @router.post("/v1/policies/{policy_id}/versions/{version}/backtest", response_model=None)
    def of_version(
        request: Request, policy_id: str, version: keys.PathVersion, body: Annotated[BacktestBody | None, Body()] = None
    ) -> Response:
        """What this version would have changed among past decisions."""
        return compared(request, policy_id, version, body or BacktestBody())


@contextmanager
def _refusals() -> Iterator[None]:
    """What the steps refuse, as it is told."""
    try:
        yield
    except PolicyInvalid as error:
        raise Refused(invalid([fault(loc, msg) for loc, msg in error.errors])) from error
    except (PolicyUnknown, ApprovalUnknown) as error:
        raise Refused(not_found(str(error.args[0]))) from error
    except OwnWork as error:
        raise Refused(Problem(ProblemKind.FORBIDDEN, str(error))) from error
    except (ApprovalRefused, RolloutRefused) as error:
        raise Refused(Problem(ProblemKind.CONFLICT, str(error))) from error


def _versions(controls: Controls, policy_id: str) -> list[PolicyVersion]:
    found = policy_store.policy_versions(controls.engine, policy_id)
    if not found:
        raise Refused(not_found(f"There is no policy {policy_id!r}."))
    return sorted(found, key=lambda one: -one.version)


def _lines(controls: Controls, versions: Iterable[PolicyVersion]) -> list[dict[str, Any]]:
    judging = policy_rollout.in_force(controls.engine)
    said: dict[tuple[str, int], str] = {}
    for one in reversed(approvals.approvals_of(controls.engine, "policy")):
        said[one.name, one.version] = "submitted" if one.state == approvals.OPEN else one.state
    return [_line(version, judging, said) for version in versions]


def _line(version: PolicyVersion, judging: Mapping[str, Standing], said: Mapping[tuple[str, int], str]) -> dict[str, Any]:
    standing = judging.get(version.id)
    in_force = standing is not None and standing.version == version.version
    address = f"/v1/policies/{version.id}"
    return {
        "id": version.id,
        "version": version.version,
        "type": version.type,
        "title": version.document["title"],
        "digest": version.digest,
        "scope": version.document.get("scope"),
        "state": "in_force" if in_force else said.get((version.id, version.version), "draft"),
        "aliases": ["champion"] if in_force else [],
        "in_force_since": format_time(standing.since) if in_force and standing is not None and standing.since is not None else None,
        "created_by": version.created_by,
        "created_at": format_time(version.created_at),
        "links": {"self": f"{address}/versions/{version.version}", "policy": address},
    }


def approval_json(one: Approval) -> dict[str, Any]:
    """A submission as JSON."""
    return {
        "approval_id": one.approval_id,
        "of": one.kind,
        "name": one.name,
        "version": one.version,
        "digest": one.digest,
        "author": one.author,
        "submitted_by": one.submitted_by,
        "submitted_at": format_time(one.submitted_at),
        "note": one.note,
        "state": one.state,
        "decided_by": one.decided_by,
        "decided_at": None if one.decided_at is None else format_time(one.decided_at),
        "decision_note": one.decision_note,
        "links": {"self": f"/v1/approvals/{one.approval_id}", "of": f"/v1/policies/{one.name}/versions/{one.version}"},
    }


def _moved(moved: Moved) -> dict[str, Any]:
    return {
        "id": moved.policy_id,
        "type": moved.type,
        "version": moved.version or None,
        "before": moved.before or None,
        "stage": policy_rollout.CHAMPION,
        "change_id": moved.change_id,
        "record_id": moved.record_id,
        "changed_at": format_time(moved.changed_at),
        "links": {"policy": f"/v1/policies/{moved.policy_id}"},
    }
