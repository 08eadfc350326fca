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
