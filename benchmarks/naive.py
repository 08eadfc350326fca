"""The naive peer: what a good team writes in a week. FastAPI, a cached shap.TreeExplainer, one ORM commit per request.

It answers the same requests with the same LightGBM model. It does less than Ordinance: the features of an order lie ready in one row per customer
(ours are computed from histories), it checks no policy, keeps no idempotency key, seals no record, signs no receipt.
"""

from __future__ import annotations

import argparse
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import shap
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import JSON, DateTime, Float, String, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker


class Base(DeclarativeBase):
    pass


class CustomerFeatures(Base):
    __tablename__ = "customer_features"
    customer_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    values: Mapped[list[float]] = mapped_column(JSON)


class Decision(Base):
    __tablename__ = "naive_decisions"
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    order_id: Mapped[str] = mapped_column(String(128), index=True)
    decided_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    outcome: Mapped[str] = mapped_column(String(16))
    probability: Mapped[float] = mapped_column(Float)
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    features: Mapped[dict[str, float]] = mapped_column(JSON)
    contributions: Mapped[dict[str, float]] = mapped_column(JSON)


class Body(BaseModel):
    order: dict[str, Any] | None = None
    row: dict[str, float] | None = None
    order_id: str | None = None


def create(model: Path, url: str) -> FastAPI:
    """Build the peer over a LightGBM text model and a database."""
    engine = create_engine(url)
    if url.startswith("sqlite"):

        @event.listens_for(engine, "connect")
        def durable(connection: Any, _record: Any) -> None:  # as durable as ours
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA busy_timeout=10000")

    Base.metadata.create_all(engine)
    sessions = sessionmaker(engine)
    booster = lightgbm.Booster(model_str=model.read_text())
    explainer = shap.TreeExplainer(booster)
    names = booster.feature_name()
    usual = [0.0] * len(names)
    app = FastAPI()

    @contextmanager
    def session() -> Iterator[Session]:
        with sessions() as open_session:
            yield open_session
            open_session.commit()

    @app.post("/decide")
    def decide(body: Body) -> dict[str, Any]:
        with session() as db:
            if body.row is not None:
                values = [body.row[name] for name in names]
            else:
                assert body.order is not None
                row = db.get(CustomerFeatures, body.order["customer"]["customer_id"])
                values = row.values if row else usual
            x = np.asarray(values, dtype=float)[None, :]
            probability = float(np.asarray(booster.predict(x, num_threads=1))[0])
            contributions = np.asarray(explainer.shap_values(x))[0]
            outcome = "HOLD" if probability > 0.5 else "ACCEPT"
            why = dict(zip(names, map(float, contributions), strict=True))
            decision = Decision(
                id=str(uuid.uuid4()),
                order_id=body.order["order_id"] if body.order else str(body.order_id),
                decided_at=datetime.now(UTC),
                outcome=outcome,
                probability=probability,
                request=body.model_dump(),
                features=dict(zip(names, map(float, x[0]), strict=True)),
                contributions=why,
            )
            db.add(decision)
            answer = {"decision_id": decision.id, "outcome": outcome, "probability": probability, "contributions": why}
        return answer  # noqa: RET504 - only after the commit at the end of the block

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--features", type=Path, help="JSON: customer id to list of values")
    arguments = parser.parse_args()
    app = create(arguments.model, arguments.database)
    if arguments.features:
        engine = create_engine(arguments.database)
        with Session(engine) as db:
            for customer, values in json.loads(arguments.features.read_text()).items():
                db.merge(CustomerFeatures(customer_id=customer, values=values))
            db.commit()
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="error", access_log=False)


if __name__ == "__main__":
    main()
