"""A real home with a real log: decisions of every type through the answerer, what people did about them, published by the leader."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_store.times import parse_time
from governance.access import Role
from governance.changes import Scribe
from governance.controls import Mode
from governance.killswitch import turn
from governance.labelling import Labelling, Told
from governance.ledger.fingerprint import load_fingerprint
from governance.lists import NewEntry, add_entries, remove_entry
from governance.policy_document import default_policies
from governance.policy_store import SHIPPED, keep_policies
from governance.promotion import register_version
from governance.settling import Desk
from models.artifact import ModelArtifact, artifact_folder, write_artifact
from serving.api.schemas import ACCEPTANCE_EXAMPLE, CUSTOM_EXAMPLE, SPLIT_EXAMPLE
from serving.force import Force
from serving.migrate import migrate
from serving.settings import Settings
from serving.verifying import Result, verify_home
from serving.wiring import Base, leader, wire_base
from tests.serving.conftest import Service, make_service

RUNNING = {"build": "test", "environment": "test"}
TYPES = ("acceptance", "fraud", "orders", "split-order", "parcel-late")


@dataclass
class LedgerHome:
    """A home, its service, and whoever leads and checks its log."""

    base: Base
    service: Service

    @property
    def folder(self) -> Path:
        return self.base.home.folder

    @property
    def mark(self) -> Path:
        (path,) = self.base.settings.mark_folder.glob("*.mark")
        return path

    def lead(self) -> None:
        turn_ = leader(self.base).turn()
        while turn_ is not None and turn_.more:
            turn_ = leader(self.base).turn()

    def verify(self, **rest: Any) -> Result:
        return verify_home(self.base, **rest)

    def decide(self, count: int, start: int = 0) -> list[bytes]:
        """Decide that many times, in turn about everything; returns the answers."""

        async def all_() -> list[bytes]:
            answers = []
            for number in range(start, start + count):
                kind = TYPES[number % len(TYPES)]
                path = "/v1/orders/decide" if kind == "orders" else f"/v1/decisions/{kind}"
                for _ in range(5):  # a busy machine may make the database wait; the same key is the same request
                    answer = await self.service.send("POST", path, json=_body(kind, number), headers={"idempotency-key": f"key-{number}"})
                    if answer.status != 503:
                        break
                    await asyncio.sleep(0.5)
                assert answer.status == 200, answer.content
                answers.append(answer.content)
            return answers

        return asyncio.run(all_())

    def settle(self) -> None:
        """What people do: override what waits, tell what happened, change lists and switches."""
        service, scribe = self.service, Scribe(self.base.signer)
        desk = Desk(self.base.engine, self.base.signer, running=RUNNING)
        listed = service.get("/v1/decisions?limit=40").json["items"]
        for number, one in enumerate(listed):
            if one["type"] in {"acceptance", "fraud"} and number % 3 == 0:
                outcome = {"acceptance": "ACCEPT", "fraud": "ALLOW"}[one["type"]]
                other = {"acceptance": "REJECT", "fraud": "BLOCK"}[one["type"]]
                wanted = other if one["outcome"] == outcome else outcome
                body = {"outcome": wanted, "reason_code": "OTHER", "note": "looked at"}
                service.call("POST", f"/v1/decisions/{one['decision_id']}/override", json=body, role=Role.REVIEWER)
            if one["type"] == "fraud":
                told = Told("fraud", parse_time(one["decided_at"]), decision_id=one["decision_id"])
                Labelling(desk).take([told], "test-oms", "oms")
        new = [NewEntry("block", "customer", f"C-{n}", "asked for", types=("fraud",)) for n in range(3)]
        made = add_entries(self.base.engine, scribe, new, "someone")
        remove_entry(self.base.engine, scribe, made[0][0].entry_id, reason="mistaken", principal="someone")
        turn(self.base.engine, scribe, decision_type="fraud", mode=Mode.RULES_ONLY, note="looking", principal="someone")


def _body(kind: str, number: int) -> dict[str, Any]:
    example = {"split-order": SPLIT_EXAMPLE, "parcel-late": CUSTOM_EXAMPLE}.get(kind, ACCEPTANCE_EXAMPLE)
    body: dict[str, Any] = copy.deepcopy(example)
    if "order" in body:
        body.pop("fallback", None)
        body.pop("deadline_ms", None)
        body["order"]["order_id"] = f"SO-{number}"
        body["order"]["customer"] = {"customer_id": f"C-{number % 50}", "segment": "gold"}
        if kind != "split-order":
            body["order"]["lines"][0]["unit_price"]["amount"] = str(10 + number * 7 % 5000)
    return body


def make_home(folder: Path, force: Force, artifacts: Mapping[str, ModelArtifact], database_url: str | None = None) -> LedgerHome:
    """A new home with the models and policies of ``force``."""
    settings = Settings(home=folder / "home", state_folder=folder / "state", database_url=database_url)
    base = wire_base(settings)
    migrate(base.engine)
    for artifact in artifacts.values():
        write_artifact(artifact_folder(base.home.models, artifact.digest), artifact.contents)
        register_version(
            base.engine, base.signer, name=artifact.name, kind=artifact.type, template="custom", digest=artifact.digest, report={},
            created_by="someone",
        )  # fmt: skip
    keep_policies(base.engine, default_policies().values(), SHIPPED, Scribe(base.signer))
    service, _ = make_service(base.engine, force)
    service = service.with_edges(signer=base.signer, fingerprint=load_fingerprint(base.home.keys), running=RUNNING)
    return LedgerHome(base, service)
