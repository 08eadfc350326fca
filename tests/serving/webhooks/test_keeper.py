"""Messages reach a receiver at least once, whatever fails in between."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from standardwebhooks import Webhook

from feature_store.times import HOUR, SECOND
from governance import outbox, webhooks
from governance.ledger.record import Kind
from governance.ledger.tables import records
from governance.outbox import Notice
from governance.webhooks import State
from serving.webhooks.keeper import GROWTH, LONGEST_WAIT, Came, Courier, Patience, WebhookKeeper

from .conftest import LOOPBACK, SIGNER, Post, Receiver, until


def run(courier: Courier, endpoint_id: str) -> Came:
    """Rounds until nothing more is due."""

    async def rounds() -> Came:
        async with courier.sender() as sender:
            came = Came.MORE
            while came is Came.MORE:
                came = await courier.round(webhooks.find(courier.engine, endpoint_id), sender)
            return came

    return asyncio.run(rounds())


def test_what_happens_is_told_signed_and_in_full(each_post: Post, receiver: Receiver) -> None:
    post = each_post
    endpoint = post.endpoint(receiver.url)
    (record_id,) = post.decide(held=True)
    post.at = int(time.time() * 1000)  # receivers look at the clock
    assert run(post.courier(), endpoint.endpoint_id) is Came.IDLE
    made, held = sorted(receiver.messages, key=lambda one: one["type"], reverse=True)
    assert (made["type"], held["type"]) == ("decision.made", "decision.held")
    assert made["data"]["decision_id"] == held["data"]["decision_id"] == record_id
    assert held["data"]["review"] == {"queue": "presale", "due_at": "2025-11-11T00:00:04.000Z", "expires_to": "REJECT"}
    assert "C-secret" not in str(receiver.got), "no customer is named"
    for headers, body in receiver.got:
        Webhook(post.secret).verify(body, headers)
        assert headers["content-type"] == "application/json"
    assert len(set(receiver.ids)) == 2
    now = webhooks.find(post.engine, endpoint.endpoint_id)
    assert (now.delivered, now.failure) == (2, None)
    assert run(post.courier(), endpoint.endpoint_id) is Came.IDLE
    assert len(receiver.got) == 2, "once is enough"


def test_only_what_was_asked_for_is_told_and_the_rest_is_passed(post: Post, receiver: Receiver) -> None:
    endpoint = post.endpoint(receiver.url, Notice.DECISION_HELD)
    post.decide(70)
    post.decide(2, held=True)
    run(post.courier(), endpoint.endpoint_id)
    assert [one["type"] for one in receiver.messages] == ["decision.held"] * 2
    assert webhooks.backlogs(post.engine)[endpoint.endpoint_id].behind == 0


def test_many_rounds_lose_nothing(post: Post, receiver: Receiver) -> None:
    endpoint = post.endpoint(receiver.url, Notice.DECISION_MADE)
    told = post.decide(80)
    run(post.courier(), endpoint.endpoint_id)
    assert sorted(one["data"]["decision_id"] for one in receiver.messages) == sorted(told)


def test_what_fails_is_tried_again_and_at_last_given_up_and_replayed(each_post: Post, receiver: Receiver) -> None:
    post = each_post
    endpoint = post.endpoint(receiver.url, Notice.DECISION_MADE)
    poison, *fine = post.decide(3)
    receiver.answer = lambda message: 500 if message["data"]["decision_id"] == poison else 200
    courier = post.courier(patience=Patience(timeout_s=2.0, first=5 * SECOND, give_up=60 * SECOND))
    run(courier, endpoint.endpoint_id)
    assert webhooks.backlogs(post.engine)[endpoint.endpoint_id] == webhooks.Backlog(0, 1, 0)
    assert run(courier, endpoint.endpoint_id) is Came.IDLE
    assert len(receiver.got) == 3, "it waits for its time"
    tries = 1
    while not webhooks.dead_letters(post.engine, endpoint.endpoint_id, None, 10):
        post.at += 5 * SECOND * GROWTH**tries
        assert run(courier, endpoint.endpoint_id) is Came.IDLE, "one that is refused does not stop the others"
        tries += 1
        assert tries < 10
    (letter,) = webhooks.dead_letters(post.engine, endpoint.endpoint_id, None, 10)
    assert (letter.attempts, letter.status, letter.event) == (tries, 500, "decision.made")
    assert "500" in letter.error
    post.at += HOUR
    seen = len(receiver.got)
    run(courier, endpoint.endpoint_id)
    assert len(receiver.got) == seen, "a dead letter rests"
    receiver.answer = lambda _message: 200
    assert webhooks.replay_dead(post.engine, post.scribe, endpoint.endpoint_id, "test-admin") == 1
    run(courier, endpoint.endpoint_id)
    assert receiver.ids[-1] == letter.message_id
    assert webhooks.backlogs(post.engine)[endpoint.endpoint_id].dead == 0
    assert len({body for headers, body in receiver.got if headers["webhook-id"] == letter.message_id}) == 1, "the same bytes each time"
    assert len(set(receiver.ids)) == 1 + len(fine)


def test_a_receiver_that_is_away_costs_nothing_and_gets_everything_later(post: Post, receiver: Receiver) -> None:
    endpoint = post.endpoint(receiver.url, Notice.DECISION_MADE)
    told = post.decide(40)
    receiver.stop()
    courier = post.courier()
    assert run(courier, endpoint.endpoint_id) is Came.FAILING
    left = webhooks.backlogs(post.engine)[endpoint.endpoint_id]
    assert left.waiting == 8, "the others stay in the log"
    assert left.behind == 32
    receiver.start()
    post.at += 10 * SECOND
    run(courier, endpoint.endpoint_id)
    assert sorted(one["data"]["decision_id"] for one in receiver.messages) == sorted(told)


def test_nothing_new_is_taken_while_too_much_waits(post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MAX_WAITING", 10)
    endpoint = post.endpoint(receiver.url, Notice.DECISION_MADE)
    told = post.decide(40)
    receiver.answer = lambda _message: 503
    for _ in range(5):
        run(post.courier(), endpoint.endpoint_id)
    assert webhooks.backlogs(post.engine)[endpoint.endpoint_id].waiting == 16
    receiver.answer = lambda _message: 200
    post.at += 10 * SECOND
    run(post.courier(), endpoint.endpoint_id)
    assert {one["data"]["decision_id"] for one in receiver.messages} == set(told)


def test_410_disables_records_and_loses_nothing(each_post: Post, receiver: Receiver) -> None:
    post = each_post
    endpoint = post.endpoint(receiver.url, Notice.DECISION_MADE)
    told = post.decide(3)
    receiver.answer = lambda _message: 410
    run(post.courier(), endpoint.endpoint_id)
    stopped = webhooks.find(post.engine, endpoint.endpoint_id)
    assert stopped.state is State.DISABLED
    assert "410" in (stopped.disabled_because or "")
    receiver.got.clear()
    receiver.answer = lambda _message: 200
    webhooks.enable(post.engine, post.scribe, endpoint.endpoint_id, "test-admin")
    run(post.courier(), endpoint.endpoint_id)
    assert sorted(one["data"]["decision_id"] for one in receiver.messages) == sorted(told)
    with post.engine.connect() as connection:
        changes = connection.execute(select(func.count()).where(records.c.kind == Kind.WEBHOOK_CHANGED)).scalar_one()
    assert changes == 3, "made, disabled, enabled"


@pytest.mark.parametrize("answer", [0, 302, 404, 500])
def test_only_2xx_counts(post: Post, receiver: Receiver, answer: int) -> None:
    endpoint = post.endpoint(receiver.url, Notice.DECISION_MADE)
    post.decide()
    receiver.answer = lambda _message: answer
    receiver.headers = {"location": receiver.url}
    run(post.courier(), endpoint.endpoint_id)
    assert webhooks.backlogs(post.engine)[endpoint.endpoint_id].waiting == 1
    assert len(receiver.got) == 1, "no redirect is followed, nothing is repeated at once"


def test_a_slow_receiver_holds_nobody_up(post: Post, receiver: Receiver) -> None:
    endpoint = post.endpoint(receiver.url, Notice.DECISION_MADE)
    post.decide()

    def slow(_message: dict[str, Any]) -> int:
        time.sleep(0.5)
        return 200

    receiver.answer = slow
    run(post.courier(patience=Patience(timeout_s=0.1)), endpoint.endpoint_id)
    assert "within 0.1 s" in (webhooks.find(post.engine, endpoint.endpoint_id).failure or "")


def test_the_receiver_s_retry_after_is_kept(post: Post, receiver: Receiver) -> None:
    endpoint = post.endpoint(receiver.url, Notice.DECISION_MADE)
    post.decide()
    receiver.answer, receiver.headers = lambda _message: 503, {"retry-after": "600"}
    run(post.courier(), endpoint.endpoint_id)
    receiver.answer = lambda _message: 200
    post.at += 599 * SECOND
    run(post.courier(), endpoint.endpoint_id)
    assert len(receiver.got) == 1
    post.at += 2 * SECOND
    run(post.courier(), endpoint.endpoint_id)
    assert len(receiver.got) == 2


def test_replay_of_one_and_from_a_time(each_post: Post, receiver: Receiver) -> None:
    post = each_post
    endpoint = post.endpoint(receiver.url, Notice.DECISION_MADE)
    post.decide(3)
    post.at += HOUR
    since = post.at
    later = post.decide(2)
    run(post.courier(), endpoint.endpoint_id)
    receiver.got.clear()
    assert webhooks.replay_from(post.engine, post.scribe, endpoint.endpoint_id, since, "test-admin") == 2
    run(post.courier(), endpoint.endpoint_id)
    assert sorted(one["data"]["decision_id"] for one in receiver.messages) == sorted(later)
    message_id = receiver.ids[0]
    receiver.got.clear()
    webhooks.replay_one(post.engine, post.scribe, endpoint.endpoint_id, message_id, "test-admin")
    run(post.courier(), endpoint.endpoint_id)
    assert receiver.ids == [message_id]
    for wrong in ("msg_nothing", message_id.replace("decision-made", "decision-held"), message_id.replace("_0", "_f", 1)):
        with pytest.raises(webhooks.WebhookUnknown):
            webhooks.replay_one(post.engine, post.scribe, endpoint.endpoint_id, wrong, "test-admin")


def test_two_secrets_sign_for_a_day(post: Post, receiver: Receiver) -> None:
    endpoint = post.endpoint(receiver.url, Notice.DECISION_MADE)
    first = post.secret
    second = "whsec_" + "bmV3IHNlY3JldA=="
    webhooks.renew_secret(post.engine, post.scribe, endpoint.endpoint_id, post.vault.seal(endpoint.endpoint_id, second), "test-admin")
    post.decide()
    run(post.courier(), endpoint.endpoint_id)
    headers, _ = receiver.got[0]
    assert len(headers["webhook-signature"].split(" ")) == 2
    post.at += webhooks.OVERLAP
    post.decide()
    run(post.courier(), endpoint.endpoint_id)
    headers, _ = receiver.got[1]
    assert len(headers["webhook-signature"].split(" ")) == 1
    assert first != second


def test_a_cursor_moved_back_meanwhile_stands(post: Post, receiver: Receiver) -> None:
    endpoint = post.endpoint(receiver.url, Notice.DECISION_MADE)
    post.decide()
    run(post.courier(), endpoint.endpoint_id)
    before = post.at
    post.decide()
    replayed: list[int] = []

    def meanwhile(name: str) -> None:
        if name == "sent" and not replayed:
            replayed.append(webhooks.replay_from(post.engine, post.scribe, endpoint.endpoint_id, before, "test-admin"))

    run(post.courier(step=meanwhile), endpoint.endpoint_id)
    run(post.courier(), endpoint.endpoint_id)
    assert replayed == [2], "back to where it was made, at the same moment"
    assert [receiver.ids.count(one) for one in sorted(set(receiver.ids))] == [2, 2], "both again"


DYING = """
import asyncio, os, signal, sys
from feature_store.database import make_engine
from governance import webhooks
from governance.changes import Scribe
from governance.ledger.receipt import Signer
from serving.webhooks.addresses import read_networks
from serving.webhooks.keeper import Came, Courier, Patience
from serving.webhooks.secrets import Vault

def step(name):
    if name == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    courier = Courier(
        make_engine(sys.argv[1]), Scribe(Signer("ordinance.test/log", b"s" * 32)), Vault(b"v" * 32), read_networks("127.0.0.0/8"),
        Patience(timeout_s=5.0), step=step,
    )
    async with courier.sender() as sender:
        while await courier.round(webhooks.find(courier.engine, sys.argv[2]), sender) is Came.MORE:
            pass

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["send", "sent", "noted"])
def test_killed_anywhere_everything_arrives(each_post: Post, receiver: Receiver, database_url: str, where: str) -> None:
    post = each_post
    endpoint = post.endpoint(receiver.url, Notice.DECISION_MADE)
    told = post.decide(20)
    script = [sys.executable, "-c", textwrap.dedent(DYING), database_url, endpoint.endpoint_id, where]
    died = subprocess.run(script, check=False, capture_output=True, timeout=60, env={**os.environ})
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    before = len(receiver.got)
    assert before == {"send": 0, "sent": 8, "noted": 20}[where]
    run(post.courier(), endpoint.endpoint_id)
    counted = {one: receiver.ids.count(one) for one in receiver.ids}
    assert len(counted) == len(told), "nothing is lost"
    assert sum(counted.values()) == len(told) + (before if where == "sent" else 0), "what was sent and not noted is sent again"


def test_the_thread_follows_the_log_and_stops(each_post: Post, receiver: Receiver) -> None:
    post = each_post
    post.at = int(time.time() * 1000)
    live = replace(post.scribe, clock=lambda: int(time.time() * 1000))
    keeper = WebhookKeeper(Courier(post.engine, live, post.vault, LOOPBACK, Patience(2.0, 100, HOUR)))
    flaky = iter([500, 200])
    receiver.answer = lambda _message: next(flaky, 200)
    post.endpoint(receiver.url, Notice.DECISION_MADE)
    keeper.start()
    try:
        post.decide(1)
        until(lambda: len(receiver.got) >= 2)
        post.decide(2)
        until(lambda: len(set(receiver.ids)) == 3)
    finally:
        keeper.stop()
    assert not keeper.alive


def test_every_kind_of_record_is_told_or_quiet() -> None:
    assert set(outbox.TOLD) | outbox.QUIET == set(Kind)
    assert not set(outbox.TOLD) & outbox.QUIET
    assert {notice for notices in outbox.TOLD.values() for notice in notices} == set(Notice) == set(outbox.TEXTS)
    assert SIGNER.key_id


@given(st.integers(1, 60), st.floats(0, 1), st.floats(0, 1e7), st.integers(0, 10**9))
def test_waits_grow_and_end(attempts: int, chance: float, asked_s: float, waited: int) -> None:
    patience = Patience()
    then = patience.next_at(attempts, 0, waited, asked_s, chance)
    if then is not None:
        assert waited < then <= patience.give_up
        assert then - waited <= LONGEST_WAIT * 1.2
    else:
        assert waited + LONGEST_WAIT * 1.2 > patience.give_up or waited + patience.first > patience.give_up


def test_a_day_of_tries() -> None:
    patience, at, tries = Patience(), 0, 1
    while (then := patience.next_at(tries, 0, at, 0.0, 0.5)) is not None:
        at, tries = then, tries + 1
    assert at > 15 * HOUR
    assert 9 <= tries <= 14
