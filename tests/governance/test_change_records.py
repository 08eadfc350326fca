"""Keys, datasets, trainings and model versions: each change leaves its record, in the transaction of the change or not at all."""

from __future__ import annotations

from base64 import b64encode

import pytest
from sqlalchemy import func, select

from feature_store import datasets
from feature_store.checks import Choices
from governance import access
from governance.changes import Scribe
from governance.ledger.opened import open_checked
from governance.ledger.receipt import Signer
from governance.ledger.record import Kind
from governance.ledger.tables import records
from governance.promotion import register_version
from governance.tables import api_keys
from training import jobs
from training.accepted import recording

SIGNER = Signer("ordinance.test/log", bytes(range(32)))
SCRIBE = Scribe(SIGNER)


def written(engine, kind):
    """What the records of a kind say, each checked against what it commits to."""
    with engine.connect() as connection:
        rows = connection.execute(select(records).where(records.c.kind == kind.value).order_by(records.c.record_id)).all()
    opened = [open_checked(bytes(row.entry), bytes(row.leaf_hash), bytes(row.body), bytes(row.seeds)) for row in rows]
    return [{**one.groups["change"], "by": one.groups["people"]["principal"]} for one in opened]


def test_keys(engine):
    key = access.create_key(engine, "auditor", "ana", scribe=SCRIBE, by="root")
    access.create_key(engine, "auditor", "ana", key=key, scribe=SCRIBE)
    hashed = access.hash_key(key)
    facts = {"key_hash": hashed, "hint": key[:16], "principal": "ana", "role": "auditor"}
    assert written(engine, Kind.KEY_CREATED) == [{"what": "created", **facts, "by": "root"}]
    assert access.revoke_key(engine, hashed, scribe=SCRIBE)
    assert not access.revoke_key(engine, hashed, scribe=SCRIBE)
    assert written(engine, Kind.KEY_REVOKED) == [{"what": "revoked", **facts, "by": access.BY_COMMAND}]
    with engine.connect() as connection:
        for row in connection.execute(select(records.c.body, records.c.entry)):
            assert key.encode() not in bytes(row.body) + bytes(row.entry)
            assert b64encode(key.encode()) not in bytes(row.body)


def test_a_change_without_its_record_is_none(engine):
    class Broken(Scribe):
        def record(self, *_args, **_rest):
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        access.create_key(engine, "auditor", "ana", scribe=Broken(SIGNER))
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(api_keys)).scalar_one() == 0


def test_versions(engine):
    digest = f"sha256:{'ab' * 32}"
    for _ in range(2):
        register_version(engine, SIGNER, name="fraud", kind="fraud", template="fraud", digest=digest, report={"auc": 0.9}, created_by="tom")
    told = written(engine, Kind.MODEL_REGISTERED)
    assert [(one["name"], one["version"], one["digest"], one["by"]) for one in told] == [
        ("fraud", 1, digest, "tom"),
        ("fraud", 2, digest, "tom"),
    ]
    assert told[0]["report"].startswith("sha256:")


def test_datasets_and_trainings(engine, tmp_path):
    taken = datasets.accept([b"a,b\n1,2\n"], tmp_path, engine, name="x.csv", uploaded_by="tom", also=recording(SCRIBE))
    (told,) = written(engine, Kind.DATASET_ACCEPTED)
    assert (told["sha256"], told["rows"], told["columns"], told["by"]) == (taken.sha256, 1, 2, "tom")

    def queued():
        wanted = jobs.Wanted(Choices("b", None, None, (), ()), 1.0)
        return jobs.create(engine, dataset_id=taken.dataset_id, name="x", template="custom", wanted=wanted, started_by="tom").training_id

    done, failed, stopped, interrupted = (queued() for _ in range(4))
    for one in (done, failed):
        jobs.claim(engine, one)
    jobs.finish(engine, done, 3, SCRIBE)
    jobs.fail(engine, failed, "data_refused", "no", scribe=SCRIBE)
    assert jobs.cancel(engine, stopped, SCRIBE)
    assert jobs.fail_interrupted(engine, SCRIBE) == 1
    jobs.fail(engine, done, "late", "it is over already", scribe=SCRIBE)
    told = {one["training_id"]: (one["state"], one["model_version"], one["error"]) for one in written(engine, Kind.TRAINING_FINISHED)}
    assert told == {
        done: ("done", 3, None),
        failed: ("failed", None, "data_refused"),
        stopped: ("cancelled", None, None),
        interrupted: ("failed", None, "interrupted"),
    }
