"""The home folder: made when missing, refused with words when it cannot be used, held by one service."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from serving.home import FORMAT, Home, HomeRefused, address_in_use, exclusive, open_home
from serving.settings import Settings
from serving.wiring import wire_base


def test_a_missing_home_is_made_with_private_keys(tmp_path: Path) -> None:
    home = open_home(tmp_path / "a" / "b")
    assert orjson.loads((home.folder / "ordinance.json").read_bytes()) == {"format": FORMAT, "demo": True}
    assert home.keys.stat().st_mode & 0o777 == 0o700
    assert open_home(home.folder) == home


def test_a_home_stays_what_it_was_made(tmp_path: Path) -> None:
    assert not open_home(tmp_path, demo=False).demo
    assert not open_home(tmp_path, demo=True).demo


def test_a_home_from_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    open_home(tmp_path)
    marker = tmp_path / "ordinance.json"
    marker.write_bytes(orjson.dumps({"format": FORMAT + 1, "new": "things"}))
    with pytest.raises(HomeRefused, match="newer Ordinance"):
        open_home(tmp_path)
    assert orjson.loads(marker.read_bytes()) == {"format": FORMAT + 1, "new": "things"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": "x"}', b'{"other": 1}'])
def test_a_damaged_marker_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ordinance.json").write_bytes(content)
    with pytest.raises(HomeRefused, match="damaged"):
        open_home(tmp_path)


@pytest.mark.parametrize(
    ("file", "home", "told"),
    [
        ("home", "home", "The home {home} is a file, and has to be a folder. Move the file away, or name another"),
        ("file", "file/home", "The home {home} cannot be made: {file} is a file, not a folder."),
        ("home/keys", "home", "The home {home} cannot be used: {file} is a file where a folder of the home belongs."),
    ],
)
def test_a_file_in_place_of_a_folder_is_named_with_what_to_do(tmp_path: Path, file: str, home: str, told: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("mine")
    with pytest.raises(HomeRefused) as caught:
        open_home(tmp_path / home)
    assert str(caught.value).startswith(told.format(home=tmp_path / home, file=tmp_path / file))
    assert "--home or ORDINANCE_HOME" in str(caught.value)
    assert (tmp_path / file).read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to the superuser")
def test_a_folder_of_somebody_else_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(HomeRefused, match="may not make or write"):
            open_home(tmp_path / "home")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_in_place_of_the_marker_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ordinance.json").mkdir()
    with pytest.raises(HomeRefused, match=r"cannot be used: Is a directory \(.*ordinance.json\)"):
        open_home(tmp_path)


def test_two_services_cannot_hold_one_home(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    program = (
        "import sys; from pathlib import Path; from serving.home import exclusive, open_home\n"
        "with exclusive(open_home(Path(sys.argv[1]))): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(HomeRefused, match=f"process {holder.pid}"), exclusive(home):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with exclusive(home):  # a killed holder leaves nothing to clear
        assert (tmp_path / "service.lock").read_text().strip() == str(os.getpid())


def test_the_address_of_the_service_that_holds_a_home_is_known_while_it_does(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    assert address_in_use(home) is None
    with exclusive(home, "http://127.0.0.1:8123"):
        assert address_in_use(home) == "http://127.0.0.1:8123"
    assert address_in_use(home) is None


def test_homes_have_folders_for_sockets_of_their_own(tmp_path: Path) -> None:
    one, other = Home(tmp_path / "one").run, Home(tmp_path / "other").run
    assert one != other
    assert len(str(one / "ray" / "session_2026-11-22_03-56-32_123456_1234567" / "sockets" / "plasma_store")) < 108, (
        "longer than a socket path may be"
    )


def test_a_home_that_has_published_a_log_gets_no_new_key(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    base = wire_base(settings)
    base.engine.dispose()
    (base.home.ledger).mkdir()
    (base.home.ledger / "checkpoint").write_bytes(b"of a log\n")
    wire_base(settings).engine.dispose()
    (base.home.keys / "ledger.key").unlink()
    with pytest.raises(HomeRefused, match=r"ledger\.key.*backup of the keys"):
        wire_base(settings)
    assert not (base.home.keys / "ledger.key").exists()
