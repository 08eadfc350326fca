"""The routes of policies, approvals, lists and the kill switch as ``/openapi.json`` tells them."""

from __future__ import annotations

from typing import Any

from governance.policy_document import PolicyDocument
from serving.api import control_schemas as controls
from serving.api.killswitch import SwitchBody
from serving.api.lists import EntryBody
from serving.api.operation import ANY, BODY, Operation
from serving.api.policies import ApprovalBody, BacktestBody, RollbackBody, RolloutBody, SubmitBody
from serving.errors import ProblemKind

_K = ProblemKind

_WORDS = {"en": "Presale orders of the launch", "zh": "首发预售订单"}

POLICY_EXAMPLE: dict[str, Any] = {
    "schema": "ordinance/policy/v1", "id": "acceptance-launch", "type": "acceptance", "title": _WORDS,
    "scope": {"tags": ["presale"], "from": "2026-11-10T16:00:00.000Z", "until": "2026-11-12T16:00:00.000Z"},
    "parameters": [
        {"name": "hold_at", "kind": "probability", "value": 0.6, "minimum": 0.05, "maximum": 0.95, "at_most": "reject_at",
         "text": {"en": "Hold for a person from this probability of failure on", "zh": "履约失败概率达到此值即转人工"}},
        {"name": "reject_at", "kind": "probability", "value": 0.95, "minimum": 0.5, "maximum": 1.0,
         "text": {"en": "Reject from this probability of failure on", "zh": "履约失败概率达到此值即拒单"}},
    ],
    "constraints": [
        {"id": "payment_not_declined", "require": "!(order.payment_status in ['declined', 'failed'])", "outcome": "REJECT",
         "code": "PAYMENT_DECLINED", "text": {"en": "The payment was declined", "zh": "支付被拒绝"}},
    ],
    "rules": [
        {"id": "failure_certain", "when": "model.probability >= params.reject_at", "outcome": "REJECT"},
        {"id": "failure_likely", "when": "model.probability >= params.hold_at", "outcome": "HOLD"},
    ],
    "default_outcome": "ACCEPT",
    "fallbacks": [{"name": "hold", "outcome": "HOLD", "text": {"en": "Held: no decision could be made in time", "zh": "未能及时决策，转人工"}}],
    "default_fallback": "hold",
    "review": {"outcome": "HOLD", "queue": "launch", "due_h": 2, "expires_to": "REJECT"},
}  # fmt: skip
ENTRY_EXAMPLE = {
    "list": "block", "kind": "device", "value": "D-5", "reason": "four chargebacks in a week", "expires_at": "2027-02-01T00:00:00.000Z",
    "types": ["fraud"],
}  # fmt: skip
SWITCH_EXAMPLE = {"type": "fraud", "mode": "rules_only", "note": "the model's probabilities jumped after the night's load"}
SUBMIT_EXAMPLE = {"version": 1, "note": "for the launch on the 11th"}
APPROVAL_EXAMPLE = {"decision": "approve", "note": "the thresholds are those of the spring launch"}
ROLLOUT_EXAMPLE = {"version": 1, "stage": "champion", "note": "before the gates open"}
BACKTEST_EXAMPLE = {"since": "2026-11-01T00:00:00.000Z", "limit": 1000, "examples": 1}
ROLLBACK_EXAMPLE = {"note": "the launch is over"}

_FOUR_EYES = "Nobody approves what they made or submitted: principals are compared, not keys, and the server refuses it."

CONTROLS: tuple[Operation, ...] = (
    Operation(
        "GET", "/v1/policies", "List policy versions", "Every version of every policy, newest first; `state` says which judge.",
        answer=controls.PoliciesAnswer, example="policies",
    ),
    Operation(
        "POST", "/v1/policies", "Save a policy", "The body is the document. It becomes the next version of its `id`; a `version` in it does "
        "not count. Everything that is wrong with it is told at once, each with its place; what may be meant and probably is not comes back "
        "as warnings. Nothing judges by it until it is submitted, approved and rolled out. docs/policies.md describes the format.",
        body=PolicyDocument, requests={"full": POLICY_EXAMPLE}, answer=controls.PolicySaved, example="policy_saved", status=201,
        problems=BODY,
    ),
    Operation(
        "GET", "/v1/policies/{policy_id}", "Read a policy", "What is in force, its versions, and what was rolled out and back.",
        answer=controls.PolicyWhole, example="policy", problems=(*ANY, _K.NOT_FOUND),
    ),
    Operation(
        "GET", "/v1/policies/{policy_id}/versions", "List the versions of a policy", "Newest first.", answer=controls.PoliciesAnswer,
        example="policies", problems=(*ANY, _K.NOT_FOUND),
    ),
    Operation(
        "GET", "/v1/policies/{policy_id}/versions/{version}", "Read a policy version", "Its document, and who said what of it.",
        answer=controls.PolicyVersionAnswer, example="policy_version", problems=(*ANY, _K.NOT_FOUND, _K.INVALID),
    ),
    Operation(
        "POST", "/v1/policies/{policy_id}/submit", "Submit a policy", "Puts a version, by default the newest, before a second person.",
        body=SubmitBody, requests={"full": SUBMIT_EXAMPLE}, answer=controls.ApprovalAnswer, example="approval_open", status=201,
        problems=(*BODY, _K.NOT_FOUND, _K.CONFLICT),
    ),
    Operation(
        "POST", "/v1/policies/{policy_id}/versions/{version}/submit", "Submit a policy version", "Puts it before a second person.",
        body=RollbackBody, requests={"full": {"note": "for the launch on the 11th"}}, answer=controls.ApprovalAnswer,
        example="approval_open", status=201, problems=(*BODY, _K.NOT_FOUND, _K.CONFLICT),
    ),
    Operation(
        "GET", "/v1/approvals", "List submissions", "What waits for a second person, and what was decided; newest first.",
        answer=controls.ApprovalsAnswer, example="approvals", problems=(*ANY, _K.INVALID),
    ),
    Operation(
        "POST", "/v1/approvals/{approval_id}", "Approve or refuse", _FOUR_EYES, body=ApprovalBody, requests={"full": APPROVAL_EXAMPLE},
        answer=controls.ApprovalAnswer, example="approval", problems=(*BODY, _K.NOT_FOUND, _K.CONFLICT),
    ),
    Operation(
        "POST", "/v1/policies/{policy_id}/rollout", "Roll a policy out", "An approved version judges from now on; every replica knows it "
        "within a second, and no request fails meanwhile.", body=RolloutBody, requests={"full": ROLLOUT_EXAMPLE},
        answer=controls.PolicyMoved, example="policy_rollout", problems=(*BODY, _K.NOT_FOUND, _K.CONFLICT),
    ),
    Operation(
        "POST", "/v1/policies/{policy_id}/rollback", "Roll a policy back", "Returns to the version that was in force before; a policy that "
        "had none judges nothing any more.", body=RollbackBody, requests={"full": ROLLBACK_EXAMPLE}, answer=controls.PolicyMoved,
        example="policy_rollback", problems=(*BODY, _K.NOT_FOUND, _K.CONFLICT),
    ),
    Operation(
        "POST", "/v1/policies/{policy_id}/backtest", "Backtest a policy", "Computes past decisions again from their records as the version, "
        "by default the newest, would have judged them: what would have changed, with examples, and what that would have cost or saved. "
        "Nothing is recorded.", body=BacktestBody, requests={"full": BACKTEST_EXAMPLE}, answer=controls.BacktestAnswer, example="backtest",
        problems=(*BODY, _K.NOT_FOUND),
    ),
    Operation(
        "POST", "/v1/policies/{policy_id}/versions/{version}/backtest", "Backtest a policy version", "As it would have judged past decisions.",
        body=BacktestBody, requests={"full": BACKTEST_EXAMPLE}, answer=controls.BacktestAnswer, example="backtest",
        problems=(*BODY, _K.NOT_FOUND),
    ),
    Operation(
        "GET", "/v1/lists", "List entries", "Of the allow and block lists, newest first: those in force, with `all` also those that expired "
        "or were removed.", answer=controls.ListsAnswer, example="lists", problems=(*ANY, _K.INVALID),
    ),
    Operation(
        "POST", "/v1/lists", "Add an entry", "Or up to 1,000 at once as `{\"entries\": [...]}`, all or none. Constraints of the policy come "
        "first, then the block list, then the allow list, which silences the rules that judge by the model; then rules. The policy's results "
        "name the entry.", body=EntryBody, requests={"full": ENTRY_EXAMPLE}, answer=controls.EntryAdded, example="entry", status=201,
        problems=BODY,
    ),
    Operation(
        "GET", "/v1/lists/{entry_id}", "Read an entry", "Also one that does not count any more: decisions name it.",
        answer=controls.EntryAnswer, example="entry_removed", problems=(*ANY, _K.NOT_FOUND),
    ),
    Operation(
        "DELETE", "/v1/lists/{entry_id}", "Remove an entry", "It stays readable, and recorded.", answer=controls.EntryAnswer,
        example="entry_removed", problems=(*ANY, _K.NOT_FOUND),
    ),
    Operation(
        "GET", "/v1/killswitch", "Read the kill switches", "Where each stands, and who turned them.", answer=controls.SwitchesAnswer,
        example="killswitches",
    ),
    Operation(
        "POST", "/v1/killswitch", "Turn a kill switch", "`rules_only`: no model is asked, and the answer says so. `hold_all`: every decision "
        "of the type is held, whatever fallback a request asks for. `normal`: as before. Every replica obeys within a second.",
        body=SwitchBody, requests={"full": SWITCH_EXAMPLE}, answer=controls.SwitchTurned, example="killswitch", problems=BODY,
    ),
)  # fmt: skip
