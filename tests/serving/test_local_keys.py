"""The embedded default's keys: stable per home, different per role and home, their secret private."""

from pathlib import Path

from serving.home import open_home
from serving.local_keys import local_key


def test_keys_are_stable_and_differ_by_role_and_home(tmp_path: Path) -> None:
    here, there = open_home(tmp_path / "here"), open_home(tmp_path / "there")
    assert local_key(here, "oms") == local_key(here, "oms")
    assert len({local_key(here, "oms"), local_key(here, "auditor"), local_key(there, "oms")}) == 3
    assert local_key(here, "policy_owner").startswith("ord_policy_owner_")


def test_the_secret_is_for_its_owner(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    local_key(home, "oms")
    assert (home.keys / "local.secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.keys.iterdir()] == ["local.secret"]
