"""What the command line says when it cannot do what it was asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.cli import main


def test_a_database_that_does_not_answer_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORDINANCE_DATABASE_URL", "postgresql+psycopg://x:a-secret@127.0.0.1:1/x")
    assert main(["keys", "create", "--role", "oms", "--home", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("ordinance: The database cannot be used: ")
    assert (told.count("\n"), "a-secret" in told) == (1, False)


@pytest.mark.parametrize("command", [["up"], ["keys", "create", "--role", "oms"], ["train", "orders.csv", "--template", "fraud"]])
def test_a_home_that_is_a_file_is_told_in_one_line(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    home.write_text("mine")
    assert main([*command, "--home", str(home)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"ordinance: The home {home} is a file, and has to be a folder. ")
    assert told.count("\n") == 1


def test_a_setting_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--port", "70000"]) == 2
    assert "setting port" in capsys.readouterr().err


def test_parity_says_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace

    from feature_store.database import make_engine
    from serving import parity
    from serving.migrate import migrate
    from tests.serving.console.watched import EQUAL, ODD, checked

    found = [None, checked(EQUAL), checked(replace(ODD, not_comparable={"at_once": 2}))]
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(parity, "check_parity", lambda _engine, **how: asked.append(how) or found[len(asked) - 1])
    command = ["parity", "--last", "40", "--seed", "11", "--home", str(tmp_path)]
    assert main(command) == 1
    assert "Ordinance needs" in capsys.readouterr().err, "a home without tables"
    engine = make_engine(f"sqlite:///{tmp_path / 'ordinance.db'}")
    migrate(engine)
    engine.dispose()
    assert [main(command) for _ in found] == [0, 0, 1]
    assert asked[0] == {"window": 40, "sample": 40, "seed": 11, "by": "command"}
    told = capsys.readouterr().out
    assert "There is no decision to check yet." in told
    assert "40 decisions: 38 equal, 0 differing, 2 not comparable" in told
    assert "not comparable, at once: 2" in told
    assert "2 of 14 values differ; decision 0193aaaa-0000-7000-8000-000000000001: recorded 3.0, by the events None" in told


@pytest.mark.parametrize("last", ["0", "many", "5001"])
def test_parity_takes_a_sensible_number(last: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["parity", "--last", last])
    assert last in capsys.readouterr().err
