"""What ``ordinance up`` does and says once everything runs: today's demo orders are decided, then the way in is told."""

from __future__ import annotations

import shlex
import urllib.error
import urllib.request

import orjson

from feature_store.times import format_time, now
from governance.access import Role
from serving.console.logins import create_login_token
from serving.demo import ORDERS_FILE
from serving.home import Home
from serving.local_keys import local_key
from serving.settings import Settings
from serving.wiring import local_principal, wire_base

EXAMPLE = {
    "order_id": "SO-TRY-1",
    "channel": "app",
    "currency": "CNY",
    "customer": {"customer_id": "C-TRY-1"},
    "ship_to": {"address_id": "AD-TRY-1", "region": "east", "country": "CN"},
    "device": {"device_id": "D-TRY-1"},
    "payment": {"method": "card", "token": "tok-TRY-1"},
    "lines": [{"line_id": "1", "sku": "SKU-0042", "qty": 2, "unit_price": {"amount": "129.90", "currency": "CNY"}, "weight_g": 500}],
}


def decide_demo_orders(settings: Settings, home: Home) -> int:
    """Ask the running service about today's demo orders, as an OMS would; returns how many were answered.

    They are asked once: the file goes when all of them were answered.
    """
    path = home.folder / ORDERS_FILE
    if not path.exists():
        return 0
    answered = 0
    for line in path.read_bytes().splitlines():
        body = orjson.loads(line)
        if _ask(settings, home, line, f"demo-{body['order']['order_id']}"):
            answered += 1
    path.unlink()
    return answered


def _ask(settings: Settings, home: Home, body: bytes, key: str) -> bool:
    headers = {"Authorization": f"Bearer {local_key(home, Role.OMS)}", "Content-Type": "application/json", "Idempotency-Key": key}
    asked = urllib.request.Request(f"{settings.local_url}/v1/orders/decide", body, headers)  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - our own address
            return int(answer.status) == 200
    except (urllib.error.URLError, OSError):
        return False


def welcome(settings: Settings, seconds: float) -> str:
    """The address, one key a role, a link to sign in by, and a line to try."""
    base = wire_base(settings)
    url = settings.address
    lines = ["", f"Ordinance is at {url}", ""]
    if base.home.demo:
        lines += [f"  {role.value:<13} {local_key(base.home, role)}" for role in Role]
        token = create_login_token(base.engine, local_principal(Role.TRAINER), Role.TRAINER.value)
        lines += [
            "",
            f"Pages:    {url}/console/login?token={token}",
            "          (signs you in once as trainer; any key above signs you in too)",
        ]
        lines += ["", "Try it:", "", _curl(url, local_key(base.home, Role.OMS))]
    else:
        lines += ["  `ordinance keys create --role ROLE --principal NAME` makes a key."]
    base.engine.dispose()
    return "\n".join([*lines, "", f"Ready after {seconds:.0f} s. Ctrl-C stops it."])


def _curl(url: str, key: str) -> str:
    moment = format_time(now())
    body = orjson.dumps({"order": {**EXAMPLE, "placed_at": moment}}).decode()
    return (
        f"curl -s {url}/v1/decisions/acceptance -H {shlex.quote('Authorization: Bearer ' + key)} \\\n"
        f"  -H 'Content-Type: application/json' -H 'Idempotency-Key: try-{moment}' \\\n  -d {shlex.quote(body)}"
    )
