"""Every process of a service names the same environment, whatever libraries put on the paths of their own processes."""

import subprocess
import sys
from pathlib import Path

TOLD = "from serving.build import environment_digest, environment_lines; print(environment_digest()); print(*environment_lines()[3:], sep='\\n')"


def told(*folders: Path) -> list[str]:
    path = f"import sys; sys.path[:0] = {[str(folder) for folder in folders]!r}; "
    return subprocess.run([sys.executable, "-c", path + TOLD], capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_library_carried_along_by_another_is_none_of_ours(tmp_path: Path) -> None:
    carried = tmp_path / "carried-1.0.dist-info"
    carried.mkdir()
    (carried / "METADATA").write_text("Metadata-Version: 2.1\nName: carried\nVersion: 1.0\n")
    assert told(tmp_path) == told()


def test_what_is_installed_is_named_with_its_version() -> None:
    libraries = told()[1:]
    assert any(one.startswith("numpy==") for one in libraries)
    assert any(one.startswith("ordinance==") for one in libraries)
    assert libraries == sorted(set(libraries))
