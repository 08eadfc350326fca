"""What the routes of policies, approvals, lists and the kill switch answer, as schemas for ``/openapi.json``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from serving.api.answer_schemas import Digest, Texts, Time


class Finding(BaseModel):
    """A place in a document, and what is to be said of it."""

    loc: list[str | int]
    msg: str


class PolicyLine(BaseModel):
    """One version of a policy."""

    id: str
    version: int
    type: Annotated[str, Field(description="the decision type that it judges")]
    title: Texts
    digest: Digest
    scope: Annotated[dict[str, Any] | None, Field(description="for which decisions; null for all that no other policy is meant for")]
    state: Literal["in_force", "approved", "submitted", "refused", "draft"]
    aliases: list[str]
    in_force_since: Annotated[Time | None, Field(description="null also for what came with the product")]
    created_by: str
    created_at: Time
    links: dict[str, str]


class PoliciesAnswer(BaseModel):
    """Versions, newest first."""

    items: list[PolicyLine]


class PolicySaved(PolicyLine):
    """What became of a document."""

    new: Annotated[bool, Field(description="false when the newest version has this content already")]
    warnings: Annotated[list[Finding], Field(description="what may be meant and probably is not")]
    record_id: str | None


class ApprovalAnswer(BaseModel):
    """A submission and what was decided on it."""

    approval_id: str
    of: Literal["policy", "model"]
    name: str
    version: int
    digest: Annotated[Digest, Field(description="of exactly what is approved")]
    author: str
    submitted_by: str
    submitted_at: Time
    note: str
    state: Literal["open", "approved", "refused"]
    decided_by: str | None
    decided_at: Time | None
    decision_note: str | None
    links: dict[str, str]


class ApprovalsAnswer(BaseModel):
    """Submissions, newest first."""

    items: list[ApprovalAnswer]


class PolicyVersionAnswer(PolicyLine):
    """One version with its document and what was said of it."""

    document: dict[str, Any]
    approvals: list[ApprovalAnswer]


class PolicyStep(BaseModel):
    """One rollout or rollback; a version of 0 means that the policy judged nothing from then on."""

    version: int
    how: Literal["rollout", "rollback"]
    changed_by: str
    changed_at: Time
    note: str


class PolicyWhole(BaseModel):
    """A policy: what is in force, its versions, and how it came about."""

    id: str
    type: str
    in_force: PolicyLine | None
    versions: list[PolicyLine]
    history: list[PolicyStep]
    document: Annotated[dict[str, Any], Field(description="of the version in force, else of the newest")]


class PolicyMoved(BaseModel):
    """What judges from now on."""

    id: str
    type: str
    version: Annotated[int | None, Field(description="null when the policy judges nothing any more")]
    before: int | None
    stage: Literal["champion"]
    change_id: int
    record_id: str
    changed_at: Time
    links: dict[str, str]


class PolicyTold(BaseModel):
    """A policy version, by id and digest."""

    id: str
    version: int
    digest: Digest


class BacktestMove(BaseModel):
    """Decisions that would have gone from one outcome to another, with money by currency."""

    before: str
    after: str
    count: int
    order_value: Any
    cost_delta: Any


class BacktestAnswer(BaseModel):
    """What a policy version would have changed among past decisions."""

    policy: PolicyTold
    compared: int
    changed: int
    unchanged: int
    skipped: dict[str, int]
    out_of_scope: int
    complete: Annotated[bool, Field(description="false when only the newest part of the window was looked at")]
    since: Time | None
    until: Time | None
    moved: list[BacktestMove]
    money: dict[str, Any]
    examples: list[dict[str, Any]]


class EntryAnswer(BaseModel):
    """One entry of a list."""

    entry_id: str
    list: Literal["allow", "block"]
    kind: str
    value: str
    types: Annotated[tuple[str, ...], Field(description="the decision types that look at it")]
    reason: str
    expires_at: Time | None
    added_by: str
    added_at: Time
    removed_by: str | None
    removed_at: Time | None
    record_id: Annotated[str | None, Field(description="of the change that was just made")]
    links: dict[str, str]


class EntryAdded(EntryAnswer):
    """An entry that was added."""

    new: Annotated[bool, Field(description="false when it was there as asked")]


class ListsAnswer(BaseModel):
    """Entries, newest first; ``next_cursor`` is null on the last page."""

    items: list[EntryAnswer]
    next_cursor: str | None


class SwitchAnswer(BaseModel):
    """Where a switch stands."""

    type: str
    mode: Literal["normal", "rules_only", "hold_all"]
    note: str
    changed_by: str | None
    changed_at: Time | None
    change_id: int | None


class SwitchTurned(SwitchAnswer):
    """A switch that was turned."""

    record_id: str


class SwitchesAnswer(BaseModel):
    """Where every switch stands, and who turned them, newest first."""

    items: list[SwitchAnswer]
    history: list[SwitchAnswer]
