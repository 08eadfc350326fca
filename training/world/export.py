"""A world as files: events and requests as JSON lines, and tables that a spreadsheet opens."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from feature_store.events import Event, event_to_json
from feature_store.order import MICRO
from feature_store.times import format_time
from training.world.network import NODES
from training.world.values import REGIONS, SimulatedOrder

ORDER_COLUMNS: tuple[str, ...] = (
    "order_id", "placed_at", "promised_by", "channel", "region", "city", "customer_id", "segment", "registered_at", "service", "promise_node",
    "amount_cny", "lines", "pieces", "weight_g", "categories", "suppliers", "tags", "payment_method", "billed_elsewhere", "fulfilment_failure", "fraud",
)  # fmt: skip
LABEL_COLUMNS: tuple[str, ...] = ("order_id", "type", "label", "known_at", "p_knowable", "scene", "failure")
SHIPMENT_COLUMNS: tuple[str, ...] = (
    "shipment_id", "order_id", "placed_at", "node_id", "region", "service", "carrier", "lines", "pieces", "weight_g", "shipped_at", "delivered_at",
    "promised_by", "late", "known_at", "p_knowable",
)  # fmt: skip
NODE_COLUMNS: tuple[str, ...] = (
    "node_id", "city", "kind", "region", "lat", "lon", "cutoff_hour", "processing_h", "processing_cost_cny", "capacity", "temp_classes",
)  # fmt: skip


class Streamed(Protocol):
    """Anything that streams events and orders, merged by the time at which they are known."""

    def stream(self) -> Iterator[Event | SimulatedOrder]:
        """Events and orders."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """What was written where."""

    folder: Path
    orders: int
    events: int
    shipments: int


def write_world(world: Streamed, folder: Path) -> Written:
    """Write a world into ``folder``, made if missing, in one pass.

    Files: ``events.jsonl`` (as ``POST /v1/events`` takes them), ``orders.jsonl`` (request bodies of the decision endpoints), ``orders.csv`` (one flat
    row an order with its outcome, to train on), ``labels.csv`` and ``shipments.csv`` (with ``p_knowable``), ``nodes.csv``.

    Raises:
        FileExistsError: one of the files is already there; nothing is written.
        OSError: the folder cannot be made or written.
    """
    names = ("events.jsonl", "orders.jsonl", "orders.csv", "labels.csv", "shipments.csv", "nodes.csv")
    for name in names:
        if (folder / name).exists():
            raise FileExistsError(f"{folder / name} is already there; give an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    orders = events = shipments = 0
    with ExitStack() as stack:
        event_lines, order_lines = (stack.enter_context((folder / name).open("xb")) for name in names[:2])
        texts = [stack.enter_context((folder / name).open("x", encoding="utf-8", newline="")) for name in names[2:]]
        order_rows, label_rows, shipment_rows, node_rows = (csv.writer(text) for text in texts)
        for rows, columns in (
            (order_rows, ORDER_COLUMNS), (label_rows, LABEL_COLUMNS), (shipment_rows, SHIPMENT_COLUMNS), (node_rows, NODE_COLUMNS),
        ):  # fmt: skip
            rows.writerow(columns)
        node_rows.writerows(_node_rows())
        for item in world.stream():
            if isinstance(item, Event):
                event_lines.write(orjson.dumps(event_to_json(item)) + b"\n")
                events += 1
                continue
            order_lines.write(orjson.dumps({"order": item.order.model_dump(mode="json")}) + b"\n")
            order_rows.writerow(_order_row(item))
            label_rows.writerows(_label_rows(item))
            shipment_rows.writerows(_shipment_rows(item))
            orders, shipments = orders + 1, shipments + len(item.shipments)
    return Written(folder, orders, events, shipments)


def _order_row(simulated: SimulatedOrder) -> tuple[Any, ...]:
    order = simulated.order
    assert order.promised_by is not None
    assert order.payment is not None
    assert order.bill_to is not None
    registered = order.customer.registered_at
    return (
        order.order_id, format_time(order.placed_at), format_time(order.promised_by), order.channel, order.ship_to.region, order.ship_to.city,
        order.customer.customer_id, order.customer.segment, "" if registered is None else format_time(registered), order.attributes["service"],
        order.attributes["promise_node"], f"{order.total_micros / MICRO:.2f}", len(order.lines), sum(line.qty for line in order.lines),
        round(sum(line.qty * (line.weight_g or 0.0) for line in order.lines)), "|".join(dict.fromkeys(line.category or "" for line in order.lines)),
        "|".join(dict.fromkeys(line.supplier_id or "" for line in order.lines)), "|".join(order.tags), order.payment.method,
        int(order.bill_to.address_id != order.ship_to.address_id), simulated.labels["acceptance"].label, simulated.labels["fraud"].label,
    )  # fmt: skip


def _label_rows(simulated: SimulatedOrder) -> Iterator[tuple[Any, ...]]:
    for kind, label in simulated.labels.items():
        failure = simulated.failure or "" if kind == "acceptance" else ""
        yield simulated.order.order_id, kind, label.label, format_time(label.known_at), f"{label.p_knowable:.6f}", simulated.scene, failure


def _shipment_rows(simulated: SimulatedOrder) -> Iterator[tuple[Any, ...]]:
    for shipment in simulated.shipments:
        yield (
            shipment.shipment_id, simulated.order.order_id, format_time(simulated.placed_at), shipment.node_id, shipment.region, shipment.service,
            shipment.carrier, len(shipment.lines), sum(pieces for _, pieces in shipment.lines), round(shipment.weight_g),
            format_time(shipment.shipped_at), format_time(shipment.delivered_at), format_time(shipment.promised_by), shipment.late,
            format_time(shipment.known_at), f"{shipment.p_knowable:.6f}",
        )  # fmt: skip


def _node_rows() -> Iterator[tuple[Any, ...]]:
    for node in NODES:
        yield (
            node.node_id, node.city, node.kind, REGIONS[node.region], node.lat, node.lon, node.cutoff_hour, node.processing_h,
            f"{node.processing_cost:.2f}", node.capacity, "|".join(node.temp_classes),
        )  # fmt: skip
