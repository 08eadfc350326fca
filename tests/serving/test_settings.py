"""Every setting is documented, read from the environment, and refused when it makes no sense."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from serving.settings import Settings

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_docs_name_every_setting_with_its_default() -> None:
    documented = dict(re.findall(r"^\| `ORDINANCE_(\w+)` \| (.+?) \|", OPERATIONS.read_text(), flags=re.MULTILINE))
    assert {name.lower() for name in documented} == set(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        if field.default is not None:
            assert documented[name.upper()] == f"`{field.default}`"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ORDINANCE_HOME", str(tmp_path))
    monkeypatch.setenv("ORDINANCE_DECISION_REPLICAS", "3")
    settings = Settings()
    assert (settings.home_folder, settings.decision_replicas) == (tmp_path, 3)
    assert settings.resolved_database_url() == f"sqlite:///{tmp_path}/ordinance.db"


@pytest.mark.parametrize(
    ("name", "value"), [("port", 0), ("port", 70_000), ("decision_replicas", 0), ("tenant", "Not A Tenant"), ("refresh_s", 0)]
)
def test_a_senseless_value_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Settings(**{name: value})


def test_settings_survive_the_way_to_a_replica(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port=8123, drain_s=1)
    assert Settings(**settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://Decisions.example.com/", "https://decisions.example.com"),
        ("http://10.0.0.7:8080", "http://10.0.0.7:8080"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("HTTPS://[0:0::1]:0443/", "https://[::1]:443"),
        (" https://my_host-1.intern ", "https://my_host-1.intern"),
    ],
)
def test_a_public_address_is_what_links_say(given: str, kept: str) -> None:
    settings = Settings(public_url=given, port=8123)
    assert (settings.address, settings.local_url) == (kept, "http://127.0.0.1:8123")


@pytest.mark.parametrize(
    "given",
    [
        "decisions.example.com", "ftp://x", "https://", "https://x/below", "https://x?y", "https://a@x", "https://x:port",
        "https://:pw@x", "https://@x", "https://x y", "https://x\ty", "https://x'><b", "https://x\\y", "https://x:", "https://x:0", "https://x:65536",
        "https://[::1", "https://[1::2::3]", "https://300.1.1.1", "https://-x", "https://x..y", "https://x$(id)", "https://x//", "https://x#",
    ],
)  # fmt: skip
def test_a_public_address_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="public_url"):
        Settings(public_url=given)


def test_without_a_public_address_links_say_where_it_listens() -> None:
    assert Settings(host="::1").address == "http://[::1]:8000"
