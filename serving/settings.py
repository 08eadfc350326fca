"""Every setting of the service, in one typed place. Each can be given as ``ORDINANCE_<NAME>`` in the environment."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from feature_store.entities import Entity
from governance.ledger.high_water import default_folder

_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_ORIGIN = re.compile(rf"(?P<scheme>https?)://(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<host>{_LABEL}(?:\.{_LABEL})*))(?::(?P<port>[0-9]{{1,5}}))?/?")


def _origin(url: str) -> str:
    """Scheme, host and port of an address, made anew of these: it stands in pages, links and commands to copy."""
    parts = _ORIGIN.fullmatch(url.strip().lower())
    if parts is None:
        raise ValueError("must be a scheme, a host and at most a port, such as https://decisions.example.com")
    host = parts["host"] or f"[{IPv6Address(parts['v6'])}]"
    if re.fullmatch(r"[0-9.]+", host):
        host = str(IPv4Address(host))
    if parts["port"] is None:
        return f"{parts['scheme']}://{host}"
    if not 1 <= int(parts["port"]) <= 65_535:
        raise ValueError("has no port between 1 and 65535")
    return f"{parts['scheme']}://{host}:{int(parts['port'])}"


def _networks(text: str) -> str:
    """Networks in CIDR notation, separated by commas."""
    for part in text.split(","):
        if part.strip():
            ip_network(part.strip())
    return text


class Settings(BaseSettings):
    """What can be configured. docs/operations.md explains each; a test holds the two together."""

    model_config = SettingsConfigDict(env_prefix="ORDINANCE_", frozen=True, extra="forbid")

    home: Path = Path("~/.ordinance")
    """The folder with all state of the embedded default."""
    host: str = "127.0.0.1"
    """The address to listen on; anything but loopback belongs behind TLS."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """The one port for decisions and pages."""
    public_url: Annotated[str, AfterValidator(_origin)] | None = None
    """How people and systems reach the service where that is not host and port: behind TLS. With https cookies are for TLS alone."""
    database_url: str | None = None
    """SQLAlchemy URL of decisions, ledger and workflow state; by default SQLite in the home. ``postgresql+psycopg://...`` for more."""
    decision_replicas: Annotated[int, Field(ge=1, le=64)] = 2
    """Processes that decide."""
    tenant: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")] = "default"
    """Named in every record."""
    state_folder: Path | None = None
    """Where the log's high-water mark is kept, outside the home; by default the user's state folder. Never restored from a backup."""
    patience_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """The longest that a request waits for the database or the feature store, whatever its deadline."""
    reservation_s: Annotated[int, Field(ge=1, le=7 * 86_400)] = 1_800
    """How long a plan reserves its pieces of stock, unless they are settled or released before."""
    second_person_above: Annotated[float, Field(ge=0, le=1e12)] = 100_000.0
    """Order value above which a second reviewer confirms an override, where the policy's ``second_person_above`` says nothing; 0 for never."""
    retention_days: dict[Literal["customer", "device", "address", "payment", "ip"], Annotated[int, Field(ge=1, le=36_500)]] = {}
    """How many days the feature store keeps what it was told about persons, by kind; a kind that is not named is kept."""
    retention_every_s: Annotated[float, Field(ge=0, le=30 * 86_400)] = 86_400.0
    """How often the service forgets what is past these days; 0 for never, then ``ordinance features expire`` does."""
    refresh_s: Annotated[float, Field(gt=0, le=60)] = 0.5
    """How often a replica asks the database which models, policies, lists and switches are in force: a change arrives within twice that."""
    event_skew_s: Annotated[float, Field(ge=0, le=3_600)] = 60.0
    """How far an event's time may lie ahead of our clock: what is going to happen is told by a forecast."""
    demo: bool = True
    """Whether a new home is a demo home: local keys for every role, a simulated history, publishing without a second person."""
    demo_orders: Annotated[int, Field(ge=2_000, le=1_000_000)] = 24_000
    """Orders of the simulated history that fills an empty home."""
    parity_every_s: Annotated[float, Field(ge=0, le=86_400)] = 900.0
    """How often a sample of decisions is rebuilt from raw events and compared; 0 for never."""
    webhook_networks: Annotated[str, AfterValidator(_networks)] = "127.0.0.0/8,::1/128"
    """Networks that webhooks may go to beside public addresses, separated by commas; plain http is for loopback alone."""
    webhook_timeout_s: Annotated[float, Field(gt=0, le=120)] = 15.0
    """How long a receiver may take to answer one attempt."""
    webhook_retry_s: Annotated[float, Field(gt=0, le=3_600)] = 5.0
    """Wait after the first failed attempt; each further one is three times as long, six hours at most."""
    webhook_give_up_s: Annotated[float, Field(ge=0, le=30 * 86_400)] = 86_400.0
    """How long a message is tried before it becomes a dead letter."""
    verify_every_s: Annotated[float, Field(ge=0, le=30 * 86_400)] = 300.0
    """How often the service checks what is new in its log as ``ordinance verify`` does; 0 for never."""
    verify_whole_every_s: Annotated[float, Field(ge=0, le=365 * 86_400)] = 86_400.0
    """How often it reads the whole log again."""
    witnesses: tuple[str, ...] = ()
    """Who cosigns the log's checkpoints: a JSON list of ``URL KEY``, each the address of a witness and its verifier key."""
    drain_s: Annotated[float, Field(ge=0, le=600)] = 5.0
    """How long a stopping replica finishes what it has begun."""

    @property
    def mark_folder(self) -> Path:
        """Where the log's high-water mark is kept."""
        return default_folder() if self.state_folder is None else self.state_folder.expanduser().resolve()

    def resolved_database_url(self) -> str:
        """The database's URL, with the default filled in."""
        return self.database_url or f"sqlite:///{self.home_folder / 'ordinance.db'}"

    @property
    def kept_days(self) -> dict[Entity, int]:
        """How many days each kind of entity is kept."""
        return {Entity(kind): count for kind, count in self.retention_days.items()}

    @property
    def expiry_every_s(self) -> float | None:
        """How often the service forgets what is past its time; ``None`` where it does not, or nothing ever is."""
        return self.retention_every_s if self.retention_days and self.retention_every_s else None

    @property
    def local_url(self) -> str:
        """Where this machine reaches the service."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def address(self) -> str:
        """How people and systems reach the service: what links and examples say."""
        return self.public_url or self.local_url

    @property
    def home_folder(self) -> Path:
        """The home as an absolute path."""
        return self.home.expanduser().resolve()
