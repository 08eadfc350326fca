"""The allow-list: only what this home's key has signed is ever served."""

import threading

import pytest
from sqlalchemy import update

from governance.ledger.receipt import Signer
from governance.promotion import (
    CHAMPION,
    ModelNotAllowed,
    ModelRefused,
    check_name,
    current,
    find_version,
    generation,
    history,
    register_version,
    set_alias,
    versions,
)
from governance.tables import model_versions

SIGNER = Signer("test.example/log", bytes(range(32)))
STRANGER = Signer("test.example/log", bytes(32))
DIGEST = "sha256:" + "ab" * 32


def register(engine, name="scms-late", digest=DIGEST, signer=SIGNER, kind=None):
    return register_version(
        engine, signer, name=name, kind=kind or name, template="custom", digest=digest, report={"auc": 0.8}, created_by="ann"
    )


def champion(engine, version, name="scms-late", kind=None):
    return set_alias(
        engine, SIGNER.verifier, kind=kind or name, alias=CHAMPION, name=name, version=version, changed_by="bob", note="better"
    )


def test_versions_count_up_by_name(engine):
    assert [register(engine), register(engine), register(engine, "other")] == [1, 2, 1]
    found = find_version(engine, "scms-late", 2)
    assert (found.digest, found.report, found.created_by) == (DIGEST, {"auc": 0.8}, "ann")
    assert {(one.name, one.version) for one in versions(engine)} == {("scms-late", 1), ("scms-late", 2), ("other", 1)}
    assert len(versions(engine, "other")) == 1
    assert find_version(engine, "scms-late", 3) is None


def test_several_processes_never_share_a_number(engine):
    got = []
    threads = [threading.Thread(target=lambda: got.append(register(engine))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(1, 9))


def test_the_last_champion_of_each_type_answers(engine):
    register(engine)
    register(engine, digest="sha256:" + "cd" * 32)
    register(engine, "other")
    assert current(engine, SIGNER.verifier).generation == generation(engine) == 0
    champion(engine, 1)
    champion(engine, 2)
    last = champion(engine, 1, "other")
    deployment = current(engine, SIGNER.verifier)
    assert deployment.generation == generation(engine) == last
    assert {kind: serving.model.version for kind, serving in deployment.champions.items()} == {"scms-late": 2, "other": 1}
    assert champion(engine, 1) > last, "back to the version before is one more change"
    assert current(engine, SIGNER.verifier).champions["scms-late"].model.digest == DIGEST
    assert [(change.version, change.changed_by, change.note) for change in history(engine, "scms-late")] == [
        (1, "bob", "better"), (2, "bob", "better"), (1, "bob", "better"),
    ]  # fmt: skip


def test_a_challenger_is_no_champion(engine):
    register(engine)
    set_alias(engine, SIGNER.verifier, kind="scms-late", alias="shadow", name="scms-late", version=1, changed_by="bob", note="")
    assert current(engine, SIGNER.verifier).champions == {}


@pytest.mark.parametrize("column", ["digest", "signature", "name", "version"])
def test_an_edited_version_is_not_served(engine, column):
    register(engine)
    champion(engine, 1)
    edited = {"digest": "sha256:" + "ee" * 32, "signature": bytes(64), "name": "evil", "version": 9}[column]
    with engine.begin() as connection:
        connection.execute(update(model_versions).values({column: edited}))
    with pytest.raises(ModelNotAllowed):
        current(engine, SIGNER.verifier)


def test_a_version_signed_by_another_home_gets_no_alias(engine):
    register(engine, signer=STRANGER)
    with pytest.raises(ModelNotAllowed, match="not signed"):
        champion(engine, 1)
    assert generation(engine) == 0


@pytest.mark.parametrize("name", ["", "Fraud", "a b", "1st", "x" * 64, "ä", "batch", "decide", "../up"])
def test_names_that_would_break_a_path_are_refused(engine, name):
    with pytest.raises(ModelRefused):
        check_name(name)
    with pytest.raises(ModelRefused):
        register(engine, name, kind="mine")
    assert versions(engine) == []


def test_a_custom_model_cannot_pose_as_a_built_in_type(engine):
    with pytest.raises(ModelRefused, match="built-in"):
        check_name("fraud")
    with pytest.raises(ModelRefused):
        register(engine, "fraud", kind="mine")
    assert register(engine, "fraud", kind="fraud") == 1


def test_aliases_fit_their_version(engine):
    register(engine)
    with pytest.raises(ModelRefused, match="no version 2"):
        champion(engine, 2)
    with pytest.raises(ModelRefused, match="answers 'scms-late'"):
        champion(engine, 1, kind="fraud")
    with pytest.raises(ModelRefused, match="alias"):
        set_alias(engine, SIGNER.verifier, kind="scms-late", alias="king", name="scms-late", version=1, changed_by="bob", note="")
    with pytest.raises(ModelRefused, match="answer 'scms-late'"):
        register(engine, kind="other")
    with pytest.raises(ModelRefused, match="digest"):
        register(engine, digest="sha256:short")
