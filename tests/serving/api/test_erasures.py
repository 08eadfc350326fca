"""``/v1/erasures`` and ``/v1/holds`` from the route to the record."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, select

from governance.access import Role, create_key
from governance.changes import Scribe
from governance.erasure import Erasures
from governance.ledger.receipt import Signer
from governance.ledger.tables import records
from governance.ledger.vault import load_vault, with_vault
from serving.api import contract, erasures
from serving.api.erasure_operations import ERASURE_EXAMPLE, HOLD_EXAMPLE, LIFT_EXAMPLE, PRIVACY
from serving.console.app import create_console
from serving.console.joined.wire import join


class Office:
    """Asks the console's application as two administrators."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        vault = load_vault(folder / "subjects")
        self.engine = with_vault(engine, vault)
        self.keys = {name: create_key(engine, Role.ADMIN, name) for name in ("anna", "ben")} | {
            "auditor": create_key(engine, Role.AUDITOR, "a")
        }
        folders = {name: folder / name for name in ("keys", "models", "datasets_folder")}
        for one in folders.values():
            one.mkdir()
        wiring = join(self.engine, **folders, launch=lambda _id: None, publish=None, base_url="http://127.0.0.1:8000")  # type: ignore[arg-type]
        self.app = create_console(wiring)
        made = Erasures(self.engine, vault, Scribe(Signer("ordinance.test/log", b"s" * 32)), lambda _stored: "exact")
        self.app.include_router(erasures.routes(wiring, lambda: made))

    def ask(self, method: str, path: str, body: Any = None, who: str = "anna") -> httpx.Response:
        async def once() -> httpx.Response:
            headers = {"authorization": f"Bearer {self.keys[who]}"}
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://127.0.0.1:8000") as client:
                return await client.request(method, path, headers=headers, json=body)

        return asyncio.run(once())


@pytest.fixture
def office(sqlite_engine: Engine, tmp_path: Path) -> Office:
    return Office(sqlite_engine, tmp_path)


def fits(name: str, answer: httpx.Response) -> Any:
    """An answer has the status and the members that its operation names, as its example has."""
    operation = next(one for one in PRIVACY if one.example == name)
    told = answer.json()
    assert answer.status_code == operation.status, told
    assert set(operation.answer.model_validate(told).model_dump()) == set(told)  # type: ignore[union-attr]
    if "RECORD_EXAMPLES" in os.environ:
        (contract.EXAMPLES / f"{name}.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    assert set(contract.answer_example(name)) == set(told)  # type: ignore[arg-type]
    return told


def test_one_asks_and_another_one_confirms(office: Office) -> None:
    asked = fits("erasure_asked", office.ask("POST", "/v1/erasures", ERASURE_EXAMPLE))
    path = f"/v1/erasures/{asked['erasure_id']}"
    assert office.ask("POST", f"{path}/confirm").json()["type"] == "urn:ordinance:problem:same-person"
    assert office.ask("GET", path, who="ben").json() == asked
    fits("erasures", office.ask("GET", "/v1/erasures"))
    done = fits("erasure_done", office.ask("POST", f"{path}/confirm", who="ben"))
    assert (done["state"], done["subject"], done["settled_by"]) == ("done", None, "ben")
    assert office.ask("POST", f"{path}/confirm", who="ben").status_code == 409
    with office.engine.connect() as connection:
        assert done["record_id"] in connection.execute(select(records.c.record_id).where(records.c.kind == "erasure")).scalars().all()


def test_a_hold_forbids_it_until_it_is_lifted(office: Office) -> None:
    hold = fits("hold_placed", office.ask("POST", "/v1/holds", HOLD_EXAMPLE))
    fits("holds", office.ask("GET", "/v1/holds"))
    wanted = {"subject": HOLD_EXAMPLE["subject"]}
    refused = office.ask("POST", "/v1/erasures", wanted)
    assert (refused.status_code, "legal hold" in refused.json()["detail"]) == (409, True)
    fits("hold_lifted", office.ask("POST", f"/v1/holds/{hold['hold_id']}/lift", LIFT_EXAMPLE))
    assert office.ask("POST", f"/v1/holds/{hold['hold_id']}/lift", LIFT_EXAMPLE).status_code == 404
    asked = office.ask("POST", "/v1/erasures", wanted).json()
    fits("erasure_withdrawn", office.ask("POST", f"/v1/erasures/{asked['erasure_id']}/withdraw"))
    assert office.ask("POST", f"/v1/erasures/{asked['erasure_id']}/confirm", who="ben").status_code == 409


def test_what_cannot_be_asked(office: Office) -> None:
    assert office.ask("POST", "/v1/erasures", {"subject": "sku:SKU-1"}).status_code == 422
    assert office.ask("GET", "/v1/erasures/none").status_code == 404
    assert office.ask("POST", "/v1/erasures", ERASURE_EXAMPLE, who="auditor").status_code == 403
