"""What docs/webhooks.md says is so."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from governance.outbox import TEXTS
from serving.webhooks.secrets import headers, new_secret

DOCS = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()


def test_every_type_is_listed_with_its_meaning() -> None:
    told = dict(re.findall(r"^\| `([a-z]+\.[a-z]+)` \| (.+) \|$", DOCS, flags=re.MULTILINE))
    assert told == {notice.value: text for notice, text in TEXTS.items()}


def test_the_receiver_that_is_shown_works() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", DOCS, flags=re.DOTALL)
    shown: dict[str, Any] = {}
    exec(block, shown)
    secret, body = new_secret(), b'{"type":"decision.overridden","data":{"order_id":"SO-1","outcome":"ACCEPT"}}'
    signed = headers("msg_1", int(time.time() * 1000), body, (secret,))
    assert shown["receive"](body, signed, secret) == 200
    assert shown["receive"](body, signed, secret) == 200
    assert shown["seen"] == {"msg_1"}
    assert shown["receive"](body + b" ", signed, secret) == 401
