"""How a policy version comes to judge: saved, submitted, approved by another person, rolled out, rolled back, each step a record."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, select

from governance import approvals, policy_rollout
from governance.approvals import ApprovalRefused, OwnWork
from governance.changes import Scribe, marks
from governance.ledger.opened import check, read_groups
from governance.ledger.receipt import Signer
from governance.ledger.tables import records
from governance.policy_document import PolicyInvalid, default_policies, read_policy
from governance.policy_rollout import RolloutRefused, in_force, load_in_force, roll_back, roll_out, submit_policy
from governance.policy_store import SHIPPED, find_policy, keep_policies, policy_versions, save_policy

SCRIBE = Scribe(Signer("ordinance.test/log", b"s" * 32))
AUTHOR, SECOND = "ada", "grace"


@pytest.fixture(autouse=True)
def shipped(engine: Engine) -> None:
    keep_policies(engine, default_policies().values(), SHIPPED, SCRIBE)


def document(name: str = "acceptance", **changes: Any) -> dict[str, Any]:
    made = orjson.loads(default_policies()["acceptance"].document)
    return {**copy.deepcopy(made), "id": name, **changes}


def east(name: str = "acceptance-east", regions: tuple[str, ...] = ("east",), **more: Any) -> dict[str, Any]:
    return document(name, scope={"regions": list(regions), **more})


def told(engine: Engine) -> list[tuple[str, dict[str, Any]]]:
    """What the records say, oldest first; each is checked against its leaf."""
    with engine.connect() as connection:
        rows = connection.execute(select(records).order_by(records.c.record_id)).all()
    for row in rows:
        check(bytes(row.entry), bytes(row.leaf_hash), bytes(row.body), bytes(row.seeds))
    return [(row.kind, read_groups(bytes(row.body))) for row in rows]


def approve(engine: Engine, name: str, version: int) -> None:
    made, _ = submit_policy(engine, SCRIBE, name, version, note="", principal=AUTHOR)
    approvals.decide(engine, SCRIBE, made.approval_id, approve=True, note="fine", principal=SECOND)


def test_the_whole_way_is_recorded_step_by_step(engine: Engine) -> None:
    began = len(told(engine))
    saved = save_policy(engine, SCRIBE, document(title={"en": "Stricter", "zh": "更严"}), AUTHOR)
    number = saved.version.version
    assert number == default_policies()["acceptance"].version + 1
    made, new = submit_policy(engine, SCRIBE, "acceptance", None, note="please", principal=AUTHOR)
    assert new
    assert submit_policy(engine, SCRIBE, "acceptance", number, note="again", principal=AUTHOR) == (made, False)
    approvals.decide(engine, SCRIBE, made.approval_id, approve=True, note="fine", principal=SECOND)
    before = marks(engine)
    moved = roll_out(engine, SCRIBE, "acceptance", number, note="now", principal=SECOND)
    assert (moved.version, moved.before) == (number, number - 1)
    assert marks(engine).aliases > before.aliases
    assert in_force(engine)["acceptance"].version == number
    back = roll_back(engine, SCRIBE, "acceptance", note="no", principal=SECOND)
    assert (back.version, back.before) == (number - 1, number)
    kinds = [(kind, groups["change"]["what"], groups["people"]["principal"]) for kind, groups in told(engine)[began:]]
    assert kinds == [
        ("policy_changed", "policy_saved", AUTHOR),
        ("approval", "submitted", AUTHOR),
        ("approval", "approved", SECOND),
        ("alias_moved", "rollout", SECOND),
        ("alias_moved", "rollback", SECOND),
    ]
    found = find_policy(engine, saved.version.digest)
    assert found is not None
    assert found.version == number


@pytest.mark.parametrize("who", [AUTHOR, "carl"])
def test_neither_author_nor_submitter_approves(engine: Engine, who: str) -> None:
    save_policy(engine, SCRIBE, east(), AUTHOR)
    made, _ = submit_policy(engine, SCRIBE, "acceptance-east", 1, note="", principal="carl")
    with pytest.raises(OwnWork, match="second person"):
        approvals.decide(engine, SCRIBE, made.approval_id, approve=True, note="", principal=who)
    with pytest.raises(RolloutRefused, match="not approved"):
        roll_out(engine, SCRIBE, "acceptance-east", 1, note="", principal=SECOND)
    approvals.decide(engine, SCRIBE, made.approval_id, approve=False, note="no", principal=SECOND)
    with pytest.raises(ApprovalRefused, match="refused already, by grace"):
        approvals.decide(engine, SCRIBE, made.approval_id, approve=True, note="", principal=SECOND)
    with pytest.raises(RolloutRefused, match="not approved"):
        roll_out(engine, SCRIBE, "acceptance-east", 1, note="", principal=SECOND)


def test_a_refused_step_leaves_nothing(engine: Engine) -> None:
    save_policy(engine, SCRIBE, east(), AUTHOR)
    before = told(engine)
    for step in (
        lambda: save_policy(engine, SCRIBE, {**east(), "rules": [{"id": "x", "when": "nonsense("}]}, AUTHOR),
        lambda: roll_out(engine, SCRIBE, "acceptance-east", 1, note="", principal=SECOND),
        lambda: roll_back(engine, SCRIBE, "acceptance", note="", principal=SECOND),
    ):
        with pytest.raises((PolicyInvalid, RolloutRefused)):
            step()
    assert told(engine) == before


def test_a_change_without_its_record_is_not_made(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_args: Any, **_more: Any) -> None:
        raise OSError("disk")

    monkeypatch.setattr("governance.changes.append", fails)
    with pytest.raises(OSError, match="disk"):
        save_policy(engine, SCRIBE, east(), AUTHOR)
    assert not policy_versions(engine, "acceptance-east")


def test_the_same_content_is_no_new_version(engine: Engine) -> None:
    first = save_policy(engine, SCRIBE, east(), AUTHOR)
    again = save_policy(engine, SCRIBE, {**east(), "version": 77}, "carl")
    assert (first.new, again.new, again.version) == (True, False, first.version)
    assert save_policy(engine, SCRIBE, east(regions=("east", "north")), AUTHOR).version.version == 2


@pytest.mark.parametrize(
    "other",
    [
        east("other"),
        document("other", scope={"channels": ["app"]}),
        document("other"),
        document("acceptance", scope={"regions": ["east"]}),
    ],
    ids=["equal", "crossing", "everything", "the last resort"],
)
def test_scopes_that_nothing_tells_apart_are_refused_when_saved(engine: Engine, other: dict[str, Any]) -> None:
    save_policy(engine, SCRIBE, east(), AUTHOR)
    with pytest.raises(PolicyInvalid) as caught:
        save_policy(engine, SCRIBE, other, AUTHOR)
    assert {loc for loc, _ in caught.value.errors} == {("scope",)}


def test_a_type_that_nothing_decides_is_refused(engine: Engine) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        save_policy(engine, SCRIBE, {**document("typo"), "type": "acceptence"}, AUTHOR)
    assert any(loc == ("type",) and "registered model" in msg for loc, msg in caught.value.errors)
    save_policy(engine, SCRIBE, {**document("acceptance-copy"), "scope": {"tags": ["x"]}}, AUTHOR)
    with pytest.raises(PolicyInvalid, match="judges 'acceptance'"):
        save_policy(engine, SCRIBE, {**orjson.loads(default_policies()["fraud"].document), "id": "acceptance-copy"}, AUTHOR)


def test_scopes_that_something_tells_apart_are_let_through(engine: Engine) -> None:
    for made in (
        east(),
        east("west", ("west",)),
        east("some", ("east", "north")),
        document("app", scope={"channels": ["app"], "rank": 1}),
        document("dated", scope={"regions": ["east"], "from": "2026-01-01T00:00:00Z"}),
    ):
        save_policy(engine, SCRIBE, made, AUTHOR)


def test_the_versions_in_force_are_loaded(engine: Engine) -> None:
    for name, regions in (("one", ("east",)), ("two", ("west",))):
        save_policy(engine, SCRIBE, east(name, regions), AUTHOR)
        approve(engine, name, 1)
    roll_out(engine, SCRIBE, "one", 1, note="", principal=SECOND)
    roll_out(engine, SCRIBE, "two", 1, note="", principal=SECOND)
    save_policy(engine, SCRIBE, east("two", ("north",)), AUTHOR)
    save_policy(engine, SCRIBE, east("one", ("south",)), AUTHOR)
    for name in ("one", "two"):
        approve(engine, name, 2)
        roll_out(engine, SCRIBE, name, 2, note="", principal=SECOND)
    roll_back(engine, SCRIBE, "two", note="", principal=SECOND)
    loaded, problems = load_in_force(engine, {})
    assert problems == {}
    assert {name: sorted(policy.scope.regions) for name, policy in loaded.items() if policy.scope.named} == {
        "one": ["south"],
        "two": ["west"],
    }


def test_what_became_ambiguous_meanwhile_is_refused_when_rolled_out(engine: Engine) -> None:
    save_policy(engine, SCRIBE, east("one"), AUTHOR)
    approve(engine, "one", 1)
    save_policy(engine, SCRIBE, east("one", ("west",)), AUTHOR)
    save_policy(engine, SCRIBE, east("two", ("east",)), AUTHOR)
    approve(engine, "two", 1)
    roll_out(engine, SCRIBE, "one", 1, note="", principal=SECOND)
    with pytest.raises(RolloutRefused, match="'one' version 1 is in force with an equally specific scope"):
        roll_out(engine, SCRIBE, "two", 1, note="", principal=SECOND)


def test_rollbacks_go_back_step_by_step_to_what_shipped_or_to_nothing(engine: Engine) -> None:
    for regions in (("east",), ("east", "north"), ("east", "west")):
        version = save_policy(engine, SCRIBE, east(regions=regions), AUTHOR).version.version
        approve(engine, "acceptance-east", version)
        roll_out(engine, SCRIBE, "acceptance-east", version, note="rollback: said so", principal=SECOND)
    seen = [roll_back(engine, SCRIBE, "acceptance-east", note="rollout: x", principal=SECOND).version for _ in range(3)]
    assert seen == [2, 1, 0]
    assert "acceptance-east" not in load_in_force(engine, {})[0]
    with pytest.raises(RolloutRefused, match="nothing to return from"):
        roll_back(engine, SCRIBE, "acceptance-east", note="", principal=SECOND)
    roll_out(engine, SCRIBE, "acceptance-east", 2, note="", principal=SECOND)
    assert in_force(engine)["acceptance-east"].version == 2
    assert [step.how for step in policy_rollout.steps(engine, "acceptance-east")] == ["rollout"] + ["rollback"] * 3 + ["rollout"] * 3


def test_a_shipped_policy_that_meets_a_taken_number_gets_the_next_and_steps_back(engine: Engine) -> None:
    newer = default_policies()["fraud"]
    mine = save_policy(engine, SCRIBE, {**orjson.loads(newer.document), "title": {"en": "Mine", "zh": "我的"}}, AUTHOR).version
    approve(engine, "fraud", mine.version)
    roll_out(engine, SCRIBE, "fraud", mine.version, note="", principal=SECOND)
    shipped = read_policy({**orjson.loads(newer.document), "version": mine.version, "title": {"en": "Next", "zh": "下一版"}})
    assert keep_policies(engine, [shipped], SHIPPED, SCRIBE) == 1
    assert keep_policies(engine, [shipped], SHIPPED, SCRIBE) == 0
    assert in_force(engine)["fraud"].version == mine.version, "what people rolled out stays in force"
    assert max(one.version for one in policy_versions(engine, "fraud")) == mine.version + 1


def test_many_at_once_take_turns(engine: Engine) -> None:
    def save(number: int) -> int:
        return save_policy(engine, SCRIBE, east(regions=(f"r{number}",)), AUTHOR).version.version

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(save, range(6))) == [1, 2, 3, 4, 5, 6]
