"""What each route is for, what it takes and answers, as ``/openapi.json`` tells it.

The decision routes are plain ASGI and are described here in full; of the console's routes FastAPI knows the parameters, and this table
adds what it cannot know: the answer, the refusals, an example.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from governance.ledger.store import MAX_LIMIT
from governance.readers import Reader
from models.specs import DecisionType
from serving.api import answer_schemas as answers
from serving.api import events as intake
from serving.api import look_schemas as looks
from serving.api import schemas
from serving.api.again_operations import AGAIN_CONSOLE, AGAIN_DECISIONS
from serving.api.control_operations import CONTROLS
from serving.api.erasure_operations import PRIVACY
from serving.api.export_operations import EXPORTS
from serving.api.ledger_operations import LEDGER
from serving.api.operation import ANY, BODY, DECIDING, Operation, Parameter
from serving.api.review_operations import REVIEW_CONSOLE, REVIEW_DECISIONS
from serving.api.webhook_operations import WEBHOOKS
from serving.errors import ProblemKind
from serving.lookups import LONGEST_WAIT_S
from serving.search_query import DEFAULT_LIMIT, FLAG_FILTERS, REAL_FILTERS, TEXT_FILTERS, TIME_FILTERS, WHOLE_FILTERS

CUSTOM_TYPE = "parcel-late"
"""The custom type that the examples speak of."""

_K = ProblemKind


def _least(order_only: Mapping[str, Any]) -> dict[str, Any]:
    """What must be there, and nothing else."""
    order, line = order_only, order_only["lines"][0]
    return {
        "order": {
            "order_id": order["order_id"], "placed_at": order["placed_at"], "currency": order["currency"],
            "customer": {"customer_id": order["customer"]["customer_id"]}, "ship_to": {"region": order["ship_to"]["region"]},
            "lines": [{name: line[name] for name in ("line_id", "sku", "qty", "unit_price")}],
        }
    }  # fmt: skip


LEAST = _least(schemas.ORDER_EXAMPLE)
ORDERS_EXAMPLE = {name: value for name, value in schemas.SPLIT_EXAMPLE.items() if name != "weights"} | {"deadline_ms": 300}
BATCH_EXAMPLE = {
    "items": [
        {"idempotency_key": "SO-1001-1-fraud", "mode": "live", "order": schemas.ORDER_EXAMPLE},
        {"idempotency_key": "SO-1002-1-fraud", **LEAST, "order": {**LEAST["order"], "order_id": "SO-1002"}},
    ]
}

_ID = Parameter("id", "The decision's id, as the answer told it.", {"type": "string", "maxLength": 128}, "path")
_NAME = Parameter("id", "The name of a published custom type.", {"type": "string", "maxLength": 128}, "path", CUSTOM_TYPE)
_TYPE = Parameter("type", "A built-in type, or the name of a published one.", {"type": "string"}, "path", DecisionType.FRAUD.value)
_ORDER_ID = Parameter("order_id", "The OMS's order id.", {"type": "string", "maxLength": 128}, "path", "SO-1001")
_WAIT = Parameter(
    "wait", "Seconds to wait for a held decision to be resolved.", {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT_S}, example=30
)

FILTER_TEXTS: Mapping[str, tuple[str, str | int | float]] = {
    "order_id": ("Decisions on this order.", "SO-1001"),
    "customer_id": ("Decisions on orders of this customer.", "C-9"),
    "type": ("A decision type.", "acceptance"),
    "outcome": ("What the OMS was told.", "HOLD"),
    "status": ("How it came about: decided, fallback, abstained.", "decided"),
    "reason": ("A reason code among the reasons.", "SUPPLIER_CAPACITY_LOW"),
    "region": ("The region that the order goes to.", "east"),
    "channel": ("The channel that the order came from.", "app"),
    "tag": ("A tag of the order.", "presale"),
    "model_version": ("The version of the model that answered.", 1),
    "policy_version": ("The version of the policy that judged.", 1),
    "min_confidence": ("A probability of at least this.", 0.25),
    "max_confidence": ("A probability of at most this.", 0.75),
    "since": ("Decided at this time or later.", "2026-11-11T00:00:00.000Z"),
    "until": ("Decided before this time.", "2026-11-12T00:00:00.000Z"),
    "overridden": ("Whether a person's override is in force.", "true"),
    "q": (
        (
            "The id of a decision, an order or a customer; where there is none of it a request id, reason code, tag, outcome, channel, region or "
            "model. Whole words, as they are written."
        ),
        "SO-1001",
    ),
}


def _filters() -> tuple[Parameter, ...]:
    """The search's parameters, from the tables that read them."""
    schemas_of: tuple[tuple[tuple[str, ...], Mapping[str, Any]], ...] = (
        (TEXT_FILTERS, {"type": "string", "minLength": 1}),
        (WHOLE_FILTERS, {"type": "integer", "minimum": 0}),
        (REAL_FILTERS, {"type": "number", "minimum": 0, "maximum": 1}),
        (TIME_FILTERS, {"type": "string", "format": "date-time"}),
        (FLAG_FILTERS, {"type": "boolean"}),
    )
    texts = {name: FILTER_TEXTS.get(name, ("", None)) for names, _ in schemas_of for name in names}
    filters = tuple(Parameter(name, texts[name][0], schema, example=texts[name][1]) for names, schema in schemas_of for name in names)
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    return (
        *filters,
        Parameter(
            "feature.{name}",
            "A test on a value that the decision was made with: `<op>:<number>` with lt, le, gt, ge, eq or ne, or `missing`. "
            "The name is the feature's. May be given for several features.",
            {"type": "string"},
            example="ge:2.5",
        ),
        Parameter(
            "count", "Whether to count, as far as that is cheap: count_exact says whether it is all.", {"type": "boolean"}, example="true"
        ),
        Parameter("cursor", "Where the page before ended: its next_cursor.", {"type": "string"}),
        Parameter("limit", "Decisions on a page.", limit, example=DEFAULT_LIMIT),
    )


_READER = Parameter("reader", "In whose words.", {"type": "string", "enum": [reader.value for reader in Reader]})

_DECIDE = (
    "The first request with a key to commit wins; everyone who sends the same key and body gets its bytes. "
    "`mode: dry_run` computes and records nothing, and needs no key. When `deadline_ms` passes or a dependency is down, the policy's "
    "declared fallback answers with `status: fallback`."
)

DECISIONS: tuple[Operation, ...] = (
    Operation(
        "POST", "/v1/decisions/acceptance", "Decide whether an order is accepted", _DECIDE, body=schemas.OrderBody,
        requests={"full": schemas.ACCEPTANCE_EXAMPLE, "least": LEAST}, answer=answers.AcceptanceAnswer, example="acceptance",
        problems=DECIDING, key=True,
    ),
    Operation(
        "POST", "/v1/decisions/fraud", "Decide whether an order is fraudulent", _DECIDE, body=schemas.OrderBody,
        requests={"full": schemas.FRAUD_EXAMPLE, "least": LEAST}, answer=answers.FraudAnswer, example="fraud", problems=DECIDING, key=True,
    ),
    Operation(
        "POST", "/v1/decisions/split-order", "Decide from where an order ships",
        _DECIDE + " Nodes, stock and rates that are not in the request come from the feature store.", body=schemas.SplitBody,
        requests={"full": schemas.SPLIT_EXAMPLE, "least": LEAST}, answer=answers.SplitAnswer, example="split-order",
        problems=DECIDING, key=True,
    ),
    Operation(
        "POST", "/v1/orders/decide", "Decide everything about an order at once",
        "Fraud, acceptance and split under one deadline and in one transaction; `precedence` says whose word counts. " + _DECIDE,
        body=schemas.SplitBody, requests={"full": ORDERS_EXAMPLE, "least": LEAST}, answer=answers.OrderAnswer, example="orders",
        problems=DECIDING, key=True,
    ),
    Operation(
        "POST", "/v1/decisions/{id}", "Decide by a published custom type",
        "One row by the original column names of the file that the type was trained on. " + _DECIDE, parameters=(_NAME,),
        body=schemas.CustomBody, requests={"full": schemas.CUSTOM_EXAMPLE}, answer=answers.CustomAnswer, example="custom",
        problems=DECIDING, key=True,
    ),
    Operation(
        "POST", "/v1/decisions/{type}/batch", "Decide many at once",
        f"Up to {schemas.MAX_BATCH:,} items, each answered as if it had come alone, in the order of the request.", parameters=(_TYPE,),
        body=schemas.BatchBody, requests={"full": BATCH_EXAMPLE}, answer=answers.BatchAnswer, example="batch", problems=BODY,
    ),
    Operation(
        "GET", "/v1/decisions/{id}", "Read a decision", "The answer as it was given and what happened since; with `wait`, as soon as a held decision is settled. An OMS reads what it asked "
        "for itself; those who judge also see the whole record.", parameters=(_ID, _WAIT), answer=looks.StoredAnswer, example="decision",
        problems=(*ANY, _K.NOT_FOUND, _K.INVALID),
    ),
    Operation(
        "GET", "/v1/decisions", "Search decisions", "Newest first; a page ends with the cursor of the next.", parameters=_filters(),
        answer=looks.SearchAnswer, example="search", problems=(*ANY, _K.INVALID),
    ),
    Operation(
        "GET", "/v1/decisions/{id}/explanation", "Explain a decision", "Every contribution of every feature, the strongest first: base + "
        "Σ contributions = margin. With `reader` the reasons in the words of a customer, an agent or an auditor, each told only what it may "
        "see; then the answer has `reader, summary, reasons[]`.", parameters=(_ID, _READER), answer=looks.ExplanationAnswer,
        example="explanation", problems=(*ANY, _K.NOT_FOUND, _K.INVALID),
    ),
    Operation(
        "GET", "/v1/orders/{order_id}/timeline", "Follow an order", "What was decided about it and what became of that, oldest first.", parameters=(_ORDER_ID,),
        answer=looks.TimelineAnswer, example="timeline", problems=(*ANY, _K.NOT_FOUND),
    ),
)  # fmt: skip
DECISIONS += REVIEW_DECISIONS + AGAIN_DECISIONS
"""The routes of :class:`serving.api.decisions.DecisionsApp`."""

_TABLE_EXAMPLE = (
    "placed_at,region,service,carrier,pieces,weight_g,late\n2026-03-02T01:12:00Z,west,std,Jade Express,2,1200,1\n"
    "2026-03-02T01:15:00Z,east,express,Jade Express,1,310.5,0\n2026-03-02T01:31:00Z,north,std,River Post,3,8400,0\n"
)
_TRAINING_EXAMPLE = {
    "dataset_id": "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "template": "custom", "target": "late", "time": "placed_at",
    "name": CUSTOM_TYPE, "budget_s": 60,
}  # fmt: skip

CONSOLE: Mapping[str, Operation] = {
    one.name: one
    for one in (
        Operation(
            "POST", "/v1/events", "Tell what happened", "Up to 5,000 events: `{\"events\": [...]}`, one event alone, or one a line as "
            "`application/x-ndjson`. What is wrong is refused with its position, the rest is kept; 422 when nothing was. Late and out of "
            "order is normal. The same `event_id` counts once; a correction is an event of its own. Every event that was taken is durable and "
            "counts in the next decision. `known_at` is when it arrives. docs/events.md lists types, keys and fields.",
            body=intake.EventsBody, requests={"full": intake.EXAMPLE}, answer=intake.EventsAnswer, example="events", problems=BODY,
        ),
        Operation(
            "POST", "/v1/datasets", "Hand a table in", "The body is the CSV file itself, plain or gzip. It is stored by its SHA-256, and the "
            "report says what it holds and what is wrong with it, by row and column.", requests={"table": _TABLE_EXAMPLE}, raw="text/csv",
            answer=looks.DatasetAnswer, example="dataset", status=201, problems=(*ANY, _K.TOO_LARGE, _K.INVALID),
        ),
        Operation(
            "POST", "/v1/trainings", "Start a training", "It runs in a process of its own; `events` tells how far it is.",
            requests={"full": _TRAINING_EXAMPLE}, answer=looks.TrainingStarted, example="training_started", status=202,
            problems=(*ANY, _K.INVALID, _K.NOT_FOUND),
        ),
        Operation(
            "GET", "/v1/trainings/{training_id}", "Look at a training", "How far it is, and its report when it is done.",
            answer=looks.TrainingAnswer, example="training", problems=(*ANY, _K.NOT_FOUND),
        ),
        Operation(
            "GET", "/v1/trainings/{training_id}/events", "Watch a training",
            "Server-sent events: `progress` at each step and `over` at the end. Last-Event-ID goes on where the line was cut.",
            example="training_events", media="text/event-stream", problems=(*ANY, _K.NOT_FOUND),
        ),
        Operation(
            "DELETE", "/v1/trainings/{training_id}", "Stop a training", "It stops at its next step.", answer=looks.TrainingAnswer,
            example="training", status=202, problems=(*ANY, _K.NOT_FOUND, _K.CONFLICT),
        ),
        Operation(
            "POST", "/v1/reservations/{reservation_id}/settle", "Settle a reservation", "The pieces have left the shelf. They stay missing "
            "from the usable stock until the node tells a stock level of a later time. May be sent again, and also after the expiry.",
            answer=answers.ReservationAnswer, example="reservation", problems=(*ANY, _K.NOT_FOUND, _K.CONFLICT),
        ),
        Operation(
            "POST", "/v1/reservations/{reservation_id}/release", "Release a reservation", "The pieces are free for other orders at once. "
            "May be sent again.", answer=answers.ReservationAnswer, example="reservation", problems=(*ANY, _K.NOT_FOUND, _K.CONFLICT),
        ),
        Operation(
            "GET", "/v1/models", "List model versions", "Every version, newest first, with what it is used for.",
            answer=looks.ModelsAnswer, example="models",
        ),
        Operation(
            "GET", "/v1/models/{name}/versions/{version}", "Read a model version",
            "Its report and, for a custom type, the schema of its rows.", answer=looks.ModelAnswer, example="model",
            problems=(*ANY, _K.NOT_FOUND, _K.INVALID),
        ),
        Operation(
            "GET", "/v1/features", "List features", "What models see: each number's meaning, source and version, and over the newest "
            "decisions its freshness and spread. No value of any one person is told.", answer=looks.FeaturesAnswer, example="features",
            problems=(*ANY, _K.INVALID),
        ),
        *CONTROLS,
        *REVIEW_CONSOLE,
        *AGAIN_CONSOLE,
        *LEDGER,
        *EXPORTS,
        *WEBHOOKS,
        *PRIVACY,
        Operation("GET", "/healthz", "The process answers", answer=looks.Alive, example="healthz", problems=()),
        Operation(
            "GET", "/readyz", "Decisions can be made", "Models are loaded and the database can be written; 503 with the reasons when not.",
            answer=looks.Readiness, example="readyz", problems=(),
        ),
        Operation("GET", "/metrics", "Figures for Prometheus", example="metrics", media="text/plain", problems=()),
        Operation("GET", "/openapi.json", "This contract", "OpenAPI 3.1 of every JSON route.", example="openapi", problems=()),
        Operation("GET", "/docs", "This contract, for people", media="text/html", example="docs", problems=()),
    )
}  # fmt: skip
"""What FastAPI cannot know about the console's routes, by method and path."""


def bodies() -> tuple[tuple[str, str, Any], ...]:
    """The decision routes' fullest requests: name of the example, path to call, body."""
    filled = {"/v1/decisions/{id}": f"/v1/decisions/{CUSTOM_TYPE}", "/v1/decisions/{type}/batch": "/v1/decisions/fraud/batch"}
    return tuple(
        (one.example, filled.get(one.path, one.path), one.requests["full"])
        for one in DECISIONS
        if one.requests and not one.path.startswith("/v1/decisions/{id}/")
    )
