"""Roles, keys, principals: the matrix of the API, nothing kept in the clear, revocation that is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, text

from feature_store.database import make_engine
from governance.access import (
    MATRIX,
    ROUTES,
    Access,
    AccessRefused,
    AccessUnavailable,
    Action,
    Role,
    create_key,
    hash_key,
    list_keys,
    may,
    revoke_key,
)
from governance.policy_store import SHIPPED
from governance.tables import api_keys, principals

API = Path(__file__).parents[2] / ".." / "shared" / "API.md"
ROWS = {
    "POST decisions, events, outcomes": Action.DECIDE,
    "GET a decision it asked for, long-poll": Action.READ_DECISION,
    "search, explanation, timeline, replay, export, affected": Action.INSPECT,
    "what-if, recourse": Action.WHAT_IF,
    "reviews, override": Action.REVIEW,
    "datasets, trainings, submit a model": Action.TRAIN,
    "policies, lists, backtest, submit a policy": Action.WRITE_POLICY,
    "approve (never one's own)": Action.APPROVE,
    "rollout, rollback, kill switch": Action.ROLL_OUT,
    "keys, principals, retention, erasure, webhooks": Action.ADMINISTER,
    "who read what, ledger status": Action.WATCH,
}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def access(engine, clock):
    return Access(engine, refresh_s=2, stale_s=60, clock=clock)


@pytest.mark.shared
def test_the_matrix_is_that_of_the_contract():
    if not API.exists():
        pytest.skip("the contract beside the checkout is absent")
    lines = [line.strip().strip("|").split("|") for line in API.read_text("utf-8").splitlines() if line.startswith("|")]
    table = {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}
    roles = [Role(name) for name in table["routes"]]
    for title, action in ROWS.items():
        told = {role for role, mark in zip(roles, table[title], strict=True) if mark == "✓"}
        assert MATRIX[action] == told, title


def test_every_action_is_in_the_matrix_and_asked_for_by_a_route():
    assert set(MATRIX) == set(Action)
    assert {route.action for route in ROUTES} - {None} == set(Action)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize(("role", "action"), [("oms", "nothing"), ("nobody", "decide"), ("", "")])
def test_what_is_not_known_is_not_allowed(role, action):
    assert not may(role, action)


def test_a_key_opens_what_its_role_allows(engine, access, clock):
    for role in Role:
        clock.now += 0.2
        key = create_key(engine, role, f"who-{role}")
        assert key.startswith(f"ord_{role}_")
        principal = access.authenticate(key)
        assert (principal.name, principal.role) == (f"who-{role}", role)
        assert {action for action in Action if principal.may(action)} == {action for action in Action if role in MATRIX[action]}
        assert principal.sees_only_own == (role is Role.OMS)


def test_only_a_hash_is_stored(engine):
    key = create_key(engine, "oms", "shop")
    with engine.connect() as connection:
        stored = " ".join(str(value) for table in (api_keys, principals) for row in connection.execute(select(table)) for value in row)
    assert hash_key(key) in stored
    assert key not in stored
    random_part = key.removeprefix("ord_oms_")
    assert random_part[4:] not in stored
    assert len(random_part) >= 32


def test_keys_differ(engine):
    assert len({create_key(engine, Role.OMS, "shop") for _ in range(5)}) == 5
    assert {info.principal for info in list_keys(engine)} == {"shop"}


@pytest.mark.parametrize("key", ["", "ord_oms_", "x" * 10_000, "ord_oms_\ud800", "\x00"])
def test_other_texts_open_nothing(sqlite_engine, key):
    create_key(sqlite_engine, Role.OMS, "shop")
    assert Access(sqlite_engine).authenticate(key) is None


def test_a_new_key_is_accepted_at_once(engine, access, clock):
    assert access.authenticate(create_key(engine, Role.OMS, "shop")) is not None
    clock.now += 0.2
    assert access.authenticate(create_key(engine, Role.AUDITOR, "eve")) is not None


def test_guessing_does_not_reach_the_database_each_time(engine, access, clock):
    access.authenticate("wrong")
    key = create_key(engine, Role.OMS, "shop")
    assert access.authenticate(key) is None  # asked a moment ago
    clock.now += 0.2
    assert access.authenticate(key) is not None


def test_revocation_is_noticed_within_seconds(engine, access, clock):
    key = create_key(engine, Role.OMS, "shop")
    assert access.authenticate(key) is not None
    assert revoke_key(engine, hash_key(key))
    assert not revoke_key(engine, hash_key(key))
    clock.now += 2
    assert access.authenticate(key) is None
    assert not access.still_valid(hash_key(key))
    assert list_keys(engine)[0].revoked_at is not None


def test_a_key_made_elsewhere_is_added_once_and_stays_revoked(engine, access, clock):
    key = "ord_admin_made-from-the-secret-of-a-home"
    for _ in range(2):
        assert create_key(engine, Role.ADMIN, "local-admin", key=key) == key
    assert len(list_keys(engine)) == 1
    revoke_key(engine, hash_key(key))
    create_key(engine, Role.ADMIN, "local-admin", key=key)
    clock.now += 5
    assert access.authenticate(key) is None


@pytest.mark.parametrize(
    ("role", "principal", "says"),
    [
        ("root", "x", "no role 'root'"),
        ("oms", " ", "1 to 255"),
        ("oms", "a" * 256, "1 to 255"),
        ("oms", "a\nb", "printable"),
        ("policy_owner", SHIPPED, "the service itself"),
        ("approver", " Ordinance ", "the service itself"),
    ],
)
def test_refuses_what_makes_no_key(sqlite_engine, role, principal, says):
    with pytest.raises(AccessRefused, match=says):
        create_key(sqlite_engine, role, principal)
    assert list_keys(sqlite_engine) == []


def test_an_outage_is_survived_for_a_while(engine, access, clock):
    key = create_key(engine, Role.OMS, "shop")
    assert access.authenticate(key) is not None
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE api_keys RENAME TO elsewhere"))
    clock.now += 50
    assert access.authenticate(key) is not None
    clock.now += 20
    for _ in range(2):
        with pytest.raises(AccessUnavailable):
            access.authenticate(key)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO api_keys"))
    clock.now += 2
    assert access.authenticate(key) is not None


def test_without_a_database_nobody_comes_in(tmp_path, clock):
    engine = make_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(AccessUnavailable):
        Access(engine, clock=clock).authenticate("ord_oms_x")
    engine.dispose()
