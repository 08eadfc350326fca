"""Erasing a person from everything that a home and its database hold, byte for byte."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from benchmarks.postgres import BinariesMissing, throwaway
from feature_store.database import make_engine
from feature_store.entities import Entity, EntityKey
from feature_store.events import Event, EventType
from feature_store.retention import ErasureRefused
from feature_store.times import HOUR, now
from governance.changes import Scribe
from governance.erasure import Erasures, SecondPersonNeeded, State
from governance.ledger.checkpoint import read_checkpoint
from governance.ledger.high_water import HighWater
from governance.ledger.leader import Leader
from governance.ledger.log import Recorder
from governance.ledger.merkle import verify_inclusion
from governance.ledger.opened import open_checked, unsealed
from governance.ledger.receipt import attach
from governance.ledger.record import Draft, Kind, about_customer, seal
from governance.ledger.rows import DecisionRow, Facets
from governance.ledger.store import DecisionReader, Filters
from governance.ledger.tables import decisions, records
from governance.ledger.tile_folder import TileFolder
from governance.ledger.tiles import TiledTree
from governance.ledger.vault import SEALED, load_vault, vault_of, with_vault
from governance.reconstruct import NotReplayable, Why, open_record
from serving.migrate import migrate
from tests.conftest import missing
from tests.serving.conftest import make_service

WHO = "C-wanda-8812"
TRACES = (
    b"C-wanda-8812",
    b"SO-wanda-1",
    b"AD-wanda-7",
    b"tok_wanda_5",
    b"D-wanda-3",
    b"Wandastrasse",
    b"wanda@example.com",
    b"10.99.88.77",
)


@dataclass
class House:
    """A home with its database, and all that was decided in it."""

    home: Path
    data: Path
    service: Any
    erasures: Erasures
    leader: Leader
    body: Callable[..., Any]

    @property
    def keys(self) -> Any:
        return vault_of(self.service.engine).keys

    def decide(self, customer: str, order: str, key: str, kind: str = "acceptance") -> Any:
        told = self.body(order_id=order)
        told["order"]["customer"]["customer_id"] = customer
        if customer == WHO:
            told["order"]["ship_to"] |= {"address_id": "AD-wanda-7", "city": "Wandastrasse"}
            told["order"]["device"] = {"device_id": "D-wanda-3", "ip": "10.99.88.77"}
            told["order"]["payment"]["token"] = "tok_wanda_5"
            told["order"]["attributes"] = {"mail": "wanda@example.com"}
        answer = self.service.decide(kind, told, key=key)
        assert answer.status == 200, answer.content
        return answer

    def happened(self, customer: str, order: str, number: int) -> None:
        at = now() - HOUR
        data = {
            "order_id": order, "customer_id": customer, "device_id": f"D-{customer[2:]}", "address_id": f"AD-{customer[2:]}", "region": "east",
            "channel": "app", "skus": ["SKU-1"], "amount": 20.0, "payment_token": f"tok_{customer[2:]}",
        }  # fmt: skip
        self.service.store.ingest([Event(f"e-{customer[:3]}{number}", EventType.ORDER_PLACED, at, at, data)])

    def traces(self) -> dict[str, list[bytes]]:
        """Every file in which a trace of the person stands."""
        found = {}
        for folder in {self.home, self.data}:
            for path in folder.rglob("*"):
                if path.is_file() and not path.is_socket():
                    content = path.read_bytes()
                    if stands := [trace for trace in TRACES if trace in content]:
                        found[str(path)] = stands
        return found


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def house(request: Any, tmp_path: Path, migrated_file: Path, force: Any, body: Any, monkeypatch: Any) -> Iterator[House]:
    home = tmp_path / "home"
    home.mkdir()
    if request.param == "sqlite":
        yield from _house(f"sqlite:///{shutil.copy(migrated_file, home / 'ordinance.db')}", home, home, force, body)
        return
    try:
        with throwaway({"fsync": "off", "wal_recycle": "off"}) as socket:
            url = socket.url("postgres")
            engine = make_engine(url)
            migrate(engine)
            engine.dispose()
            yield from _house(url, home, socket.folder / "data", force, body)
    except BinariesMissing as error:
        missing(str(error))


def _house(url: str, home: Path, data: Path, force: Any, body: Any) -> Iterator[House]:
    engine = with_vault(make_engine(url), load_vault(home / "keys"))
    service, recorder = make_service(engine, force)
    signer = service.edges.signer
    leader = Leader(engine, signer, home / "ledger", HighWater(home.parent / "state", signer.verifier.name))
    erasures = Erasures(engine, vault_of(engine), Scribe(signer), lambda stored: "exact")
    yield House(home, data, service, erasures, leader, body)
    recorder.close()
    engine.dispose()


def lived_in(house: House) -> tuple[Any, Any]:
    """Two customers with orders and events; returns an answer to each."""
    for number in range(3):
        house.happened(WHO, "SO-wanda-1", number)
        house.happened("C-other", "SO-other-1", number)
    theirs = house.decide(WHO, "SO-wanda-1", "SO-wanda-1-a")
    house.decide(WHO, "SO-wanda-1", "SO-wanda-1-f", "fraud")
    house.decide(WHO, "SO-wanda-1", "SO-wanda-1-o", "orders")
    other = house.decide("C-other", "SO-other-1", "other-1")
    house.leader.turn()
    return theirs, other


def erase(house: House) -> Any:
    asked = house.erasures.request(f"customer:{WHO}", "anna")
    return house.erasures.confirm(asked.erasure_id, "ben")


def test_nothing_of_the_person_is_left_anywhere_and_every_proof_stays(house: House) -> None:
    theirs, other = lived_in(house)
    assert house.traces(), "the test would prove nothing: it does not find what is there"
    folder = TileFolder(house.home / "ledger")
    files = {path: path.read_bytes() for path in (house.home / "ledger").rglob("*") if path.is_file() and "tile" in path.parts}
    before, _ = read_checkpoint(folder.checkpoint(), [house.service.edges.signer.verifier])
    tree = TiledTree(before.size, folder.read)
    proofs = [tree.inclusion_proof(index) for index in range(before.size)]
    with house.service.engine.connect() as connection:
        leaves = {row.record_id: (bytes(row.entry), bytes(row.leaf_hash)) for row in connection.execute(select(records))}

    done = erase(house)
    assert (done.wiped, done.erasure.state, done.erasure.subject) == (True, State.DONE, "")
    assert done.told["replays"] == {"exact": 6}

    assert house.traces() == {}
    assert all(path.read_bytes() == content for path, content in files.items())
    with house.service.engine.connect() as connection:
        rows = connection.execute(select(records)).all()
    assert leaves.items() <= {row.record_id: (bytes(row.entry), bytes(row.leaf_hash)) for row in rows}.items()
    for index, proof in enumerate(proofs):
        verify_inclusion(tree.leaf(index), index, before.size, proof, before.root)
    house.leader.turn()
    assert house.traces() == {}

    assert house.service.get(f"/v1/decisions/{other.json['decision_id']}").status == 200
    told = house.service.get(f"/v1/decisions/{theirs.json['decision_id']}")
    assert (told.status, told.json["outcome"], told.json["decision_id"]) == (410, theirs.json["outcome"], theirs.json["decision_id"])
    assert house.service.get(f"/v1/decisions/{theirs.json['decision_id']}/explanation").status == 410


def test_what_is_left_of_a_record_is_still_what_its_leaf_commits_to(house: House) -> None:
    theirs, _ = lived_in(house)
    erase(house)
    engine = house.service.engine
    with engine.connect() as connection:
        row = connection.execute(select(records).where(records.c.record_id == theirs.json["decision_id"])).one()
        decision = connection.execute(select(decisions).where(decisions.c.record_id == row.record_id)).one()
    plain, _ = unsealed(vault_of(engine), dict(row._mapping), dict(decision._mapping))
    left = open_checked(bytes(row.entry), bytes(row.leaf_hash), plain["body"], plain["seeds"], b"")
    assert (left.erased, set(left.groups)) == (True, {"model", "people"})
    stored = DecisionReader(engine).get(row.record_id)
    with pytest.raises(NotReplayable) as refused:
        open_record(stored)
    assert refused.value.why is Why.ERASED
    assert DecisionReader(engine).search(Filters(customer_id=WHO)).lines == ()
    assert (decision.order_id[0], decision.customer_id[0], decision.request_id) == ("~", "~", None)


def test_a_retry_of_an_erased_request_is_gone_and_the_person_may_come_back(house: House) -> None:
    lived_in(house)
    before = house.keys.find([f"customer:{WHO}"])[f"customer:{WHO}"].pseudonym
    erase(house)
    told = house.body(order_id="SO-wanda-1")
    assert house.service.decide("acceptance", told, key="SO-wanda-1-a").status == 410
    again = house.decide(WHO, "SO-wanda-2", "new-key")
    assert house.service.decide("acceptance", {**told}, key="another").status == 200
    assert house.service.get(f"/v1/decisions/{again.json['decision_id']}").status == 200
    assert house.keys.find([f"customer:{WHO}"])[f"customer:{WHO}"].pseudonym != before


def test_a_second_person_confirms_and_a_hold_forbids_it(house: House) -> None:
    lived_in(house)
    hold = house.erasures.place_hold(f"customer:{WHO}", "counsel", "case 12")
    with pytest.raises(ErasureRefused, match="legal hold"):
        house.erasures.request(f"customer:{WHO}", "anna")
    house.erasures.lift_hold(hold.hold_id, "counsel", "closed")
    asked = house.erasures.request(f"customer:{WHO}", "anna")
    with pytest.raises(SecondPersonNeeded):
        house.erasures.confirm(asked.erasure_id, "anna")
    house.erasures.place_hold(f"customer:{WHO}", "counsel", "case 13")
    with pytest.raises(ErasureRefused, match="legal hold"):
        house.erasures.confirm(asked.erasure_id, "ben")
    assert house.service.get("/v1/decisions").json["items"][-1]["customer_id"] == WHO
    with house.service.engine.connect() as connection:
        kinds = connection.execute(select(records.c.kind).where(records.c.kind.in_(["legal_hold", "erasure"]))).scalars().all()
    assert sorted(kinds) == ["erasure", "legal_hold", "legal_hold", "legal_hold"]


def test_an_erasure_that_was_interrupted_goes_on(house: House, monkeypatch: Any) -> None:
    lived_in(house)
    asked = house.erasures.request(f"customer:{WHO}", "anna")
    for place in ("lock_records", "retention.erase", "wipe"):
        with monkeypatch.context() as patched:
            patched.setattr(f"governance.erasure.{place}", _killed)
            with pytest.raises(KeyboardInterrupt):
                house.erasures.confirm(asked.erasure_id, "ben")
        if place != "wipe":
            assert house.erasures.get(asked.erasure_id).state is State.CONFIRMED
    assert house.erasures.get(asked.erasure_id).state is State.DONE
    from governance.erasure import wipe

    assert wipe(house.service.engine, thorough=True)
    assert house.traces() == {}


def _killed(*_arguments: Any, **_named: Any) -> None:
    raise KeyboardInterrupt


def test_records_from_before_there_were_keys_are_read_and_erased(house: House, force: Any) -> None:
    engine = house.service.engine
    bare, recorder = make_service(engine.execution_options(ordinance_vault=None), force)
    old = House(house.home, house.data, bare, house.erasures, house.leader, house.body).decide(WHO, "SO-wanda-1", "SO-wanda-1-x")
    recorder.close()
    shown = house.service.get(f"/v1/decisions/{old.json['decision_id']}")
    assert (shown.status, shown.json["record"]["order"]["customer_id"]) == (200, WHO)
    assert [line.customer_id for line in DecisionReader(engine).search(Filters(customer_id=WHO)).lines] == [WHO]
    with engine.connect() as connection:
        assert not bytes(
            connection.execute(select(records.c.body).where(records.c.record_id == old.json["decision_id"])).scalar_one()
        ).startswith(SEALED)
    erase(house)
    assert house.traces() == {}


def test_states_of_the_person_are_gone_and_those_of_others_stay(house: House) -> None:
    lived_in(house)
    erase(house)
    states = house.service.store.read([EntityKey(Entity.CUSTOMER, WHO), EntityKey(Entity.CUSTOMER, "C-other")])
    assert [key.key for key in states] == ["C-other"]


def test_the_record_of_an_erasure_names_nobody(house: House) -> None:
    lived_in(house)
    done = erase(house)
    text = orjson.dumps(done.told)
    assert not [trace for trace in TRACES if trace in text]
    assert done.told["keys_destroyed"] == [done.erasure.pseudonym]


def one_more(house: House) -> DecisionRow:
    """A small decision about the person, with a key of its own."""
    groups = {"order": {"customer_id": WHO}, "outcome": {"outcome": "ALLOW"}, "response": '{"outcome":"ALLOW"}'}
    draft = Draft(Kind.DECISION, "fraud", {"build": "1"}, groups, about_customer(WHO, groups))
    sealed = seal(draft, house.service.edges.signer, now())
    facets = Facets("fraud", "live", "ALLOW", "decided", now(), 900, customer_id=WHO)
    return DecisionRow(sealed, facets, "oms-1", sealed.record_id, bytes(32), attach(b'{"outcome":"ALLOW"}', sealed.receipt))


def test_whoever_goes_on_ordering_meanwhile_leaves_no_record_that_nobody_can_open(house: House) -> None:
    lived_in(house)
    engine, stop = house.service.engine, threading.Event()
    before = house.keys.find([f"customer:{WHO}"])[f"customer:{WHO}"].pseudonym
    recorder = Recorder(with_vault(engine, load_vault(house.home / "keys")))  # as another process has it: with keys of its own

    def order() -> None:
        while not stop.is_set():
            recorder.commit_blocking([one_more(house)])

    threads = [threading.Thread(target=order) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        asked = house.erasures.request(f"customer:{WHO}", "anna")
        house.erasures.confirm(asked.erasure_id, "ben", thorough=False)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        recorder.close()
    reader = DecisionReader(engine)
    with engine.connect() as connection:
        rows = connection.execute(select(decisions.c.record_id, decisions.c.customer_id, decisions.c.response)).all()
    old = [row for row in rows if row.customer_id == before]
    assert len(old) >= 6
    assert not [row for row in old if row.response]
    for row in rows:
        stored = reader.get(row.record_id)
        assert stored is not None
        stored.check()
        assert stored.erased == (row.customer_id == before)


def test_a_running_service_leaves_nothing_either(house: House) -> None:
    lived_in(house)
    asked = house.erasures.request(f"customer:{WHO}", "anna")
    done = house.erasures.confirm(asked.erasure_id, "ben", thorough=False)
    if house.service.engine.dialect.name == "sqlite":  # PostgreSQL's freed space is written over with time
        assert (done.wiped, house.traces()) == (True, {})
