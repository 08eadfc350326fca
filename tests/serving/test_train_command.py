"""``ordinance train`` refuses what it cannot do before it keeps anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from governance.promotion import register_version
from serving.cli import main
from serving.migrate import migrate
from serving.settings import Settings
from serving.wiring import wire_base

FILE = "a,late\n" + "1,0\n2,1\n" * 60


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--template", "custom", "--target", "late", "--name", "Bad Name!"], "cannot be called 'Bad Name!'"),
        (["--template", "custom", "--target", "late", "--name", "fraud"], "built-in decision type"),
        (["--template", "custom", "--target", "late", "--name", "decide"], "API's own paths"),
        (["--template", "nonsense", "--target", "late"], "no template 'nonsense'. Use one of custom, "),
        (["--template", "custom"], "No target column is chosen."),
    ],
)
def test_what_cannot_be_asked_is_refused_before_the_home_is_touched(
    file: Path, tmp_path: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    assert main(["train", str(file), *options, "--home", str(home)]) == 1
    out, error = capsys.readouterr()
    assert error.startswith("ordinance: ")
    assert told in error
    assert (error.count("\n"), out) == (1, "")
    assert not home.exists()


@pytest.mark.parametrize("content", [None, b"", b"a,b\n1\n"])
def test_of_a_file_that_cannot_be_read_nothing_is_kept(tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]) -> None:
    path, home = tmp_path / "orders.csv", tmp_path / "home"
    if content is not None:
        path.write_bytes(content)
    assert main(["train", str(path), "--template", "custom", "--target", "b", "--home", str(home)]) == 1
    assert capsys.readouterr().err.startswith("ordinance: ")
    assert not list((home / "datasets").iterdir())


def test_a_name_that_answers_another_type_is_refused_before_anything_is_kept(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    base = wire_base(Settings(home=home))
    migrate(base.engine)
    register_version(
        base.engine, base.signer, name="late", kind="fraud", template="fraud", digest=f"sha256:{'0' * 64}", report={}, created_by="t"
    )
    base.engine.dispose()
    assert main(["train", str(file), "--template", "custom", "--target", "late", "--name", "late", "--home", str(home)]) == 1
    out, error = capsys.readouterr()
    assert "answer 'fraud'" in error
    assert (error.count("\n"), out) == (1, "")
    assert not (home / "datasets").exists() or not list((home / "datasets").iterdir())
