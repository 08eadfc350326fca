"""``ordinance replay``: counts, exit codes, and what is named; on a home that nobody serves."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func

from feature_store.times import SECOND, format_time, parse_time
from governance.ledger.opened import hollow
from governance.ledger.tables import records
from governance.policy_document import default_policies
from governance.policy_store import keep_policies
from models.artifact import CARD_FILE, ModelArtifact, artifact_folder, write_artifact
from serving.build import environment_digest, environment_lines, keep_environment, libraries_in
from serving.cli import main

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def decided(service: Any, body: Any, artifacts: Mapping[str, ModelArtifact], tmp_path: Path) -> list[dict[str, Any]]:
    """Four requests' decisions, seven records in all."""
    keep_policies(service.engine, default_policies().values(), "test")
    for artifact in artifacts.values():
        write_artifact(artifact_folder(tmp_path / "models", artifact.digest), artifact.contents)
    kinds = ("acceptance", "fraud", "split-order", "orders")
    return [service.decide(kind, {**body(order_id=f"SO-{i}"), "oms_choice": None}, f"k{i}").json for i, kind in enumerate(kinds)]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def once(*arguments: str) -> tuple[int, str]:
        code = main(["replay", "--home", str(tmp_path), *arguments])
        told = capsys.readouterr()
        return code, told.out + told.err

    return once


def counts(told: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"^(\w+): (\d+)$", told, re.MULTILINE)}


def none_but(**told: int) -> dict[str, int]:
    return {"exact": 0, "same_outcome": 0, "differs": 0, "not_replayable": 0, **told}


def test_all_of_a_home(run: Run, decided: list[dict[str, Any]]) -> None:
    code, told = run()
    parts = sum("decision_id" in part for part in decided[3]["decisions"].values())
    assert (code, counts(told)) == (0, none_but(exact=4 + parts))
    assert "build: it was decided by another version of this program" in told  # the fixture's records name a build of "test"
    assert "environment: it was decided with other versions of the libraries; which ones was not kept" in told


def test_what_is_asked_for(run: Run, decided: list[dict[str, Any]]) -> None:
    assert counts(run("--last", "2")[1])["exact"] == 2
    assert counts(run("--record", decided[0]["decision_id"])[1])["exact"] == 1
    assert counts(run("--type", "fraud")[1])["exact"] in {1, 2}
    later = format_time(parse_time(decided[2]["decided_at"]) + 10 * SECOND)
    code, told = run("--since", later)
    assert (code, counts(told)) == (0, none_but())
    assert "There is no decision to replay." in told
    assert counts(run("--until", later)[1])["exact"] >= 5


def test_what_is_not_exact_is_named_and_is_the_exit_code(run: Run, decided: list[dict[str, Any]], tmp_path: Path, service: Any) -> None:
    card = artifact_folder(tmp_path / "models", decided[1]["model"]["digest"]) / CARD_FILE
    content = bytearray(card.read_bytes())
    content[len(content) // 2] ^= 1
    card.write_bytes(bytes(content))
    code, told = run("--record", decided[1]["decision_id"])
    assert (code, counts(told)) == (1, none_but(not_replayable=1))
    assert "not replayable, model_corrupt: 1" in told
    assert f"{CARD_FILE}: its bytes are not those that the manifest lists" in told
    with service.engine.begin() as connection:
        damaged = records.c.record_id == decided[0]["decision_id"]
        connection.execute(records.update().where(damaged).values(body=func.substr(records.c.body, 1, 40)))
    code, told = run("--record", decided[0]["decision_id"])
    assert code == 1
    assert "not replayable, record_corrupt: 1" in told


def test_what_was_erased_is_no_fault(run: Run, decided: list[dict[str, Any]], service: Any) -> None:
    stored = service.reader.get(decided[0]["decision_id"])
    with service.engine.begin() as connection:
        gone = records.c.record_id == decided[0]["decision_id"]
        connection.execute(records.update().where(gone).values(body=hollow(stored.opened, stored.seeds), seeds=b""))
    code, told = run("--record", decided[0]["decision_id"])
    assert (code, counts(told)) == (0, none_but(not_replayable=1))
    assert "not replayable, erased: 1" in told
    with service.engine.begin() as connection:
        connection.execute(records.update().where(gone).values(body=b""))
    code, told = run("--record", decided[0]["decision_id"])
    assert (code, counts(told)) == (1, none_but(not_replayable=1))
    assert "record_corrupt" in told, "an emptied column is no erasure"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--record", "nothing"], "ordinance: There is no decision 'nothing' in this home."),
        (["--since", "yesterday"], "ordinance: --since: "),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(run: Run, decided: list[dict[str, Any]], arguments: list[str], text: str) -> None:
    code, told = run(*arguments)
    assert code == 1
    assert told.startswith(text)
    assert told.count("\n") == 1


def test_the_libraries_behind_a_digest_are_kept_once_and_checked(tmp_path: Path) -> None:
    keep_environment(tmp_path)
    keep_environment(tmp_path)
    (path,) = tmp_path.iterdir()
    known = libraries_in(tmp_path)
    told = known(environment_digest())
    assert told is not None
    assert f"python=={environment_lines()[1]}" in told
    other = "sha256:" + "0" * 64
    assert known(other) is None
    path.rename(tmp_path / f"{'0' * 64}.txt")
    assert known(other) is None, "a list that is not what the digest says tells nothing"
    assert known("sha256:../secret") is None
