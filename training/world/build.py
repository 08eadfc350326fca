"""From columns to what the OMS would send: order requests with their true outcome, and the events that follow from them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from feature_store.events import Event, EventType
from feature_store.order import BillTo, Customer, Device, Line, Money, Order, Payment, Place
from feature_store.times import DAY, HOUR, MINUTE, SECOND, Millis
from training.world.calendar import Calendar
from training.world.catalogue import CATEGORIES, Catalogue, sku_id, supplier_id
from training.world.drafts import MAX_LINES, Drafts
from training.world.fulfilment import CANCEL_CAUSES, FRAUD_SETTLES, LATE_SETTLES, RETURN_CLOSES, Fates
from training.world.network import CITIES, NODES, NetworkDays, carrier
from training.world.people import SEGMENTS, People
from training.world.scenes import Scene
from training.world.values import EXPRESS, REGIONS, SERVICES, Label, SimulatedOrder, SimulatedShipment, pick, public_id, public_ip

CURRENCY = "CNY"
CHANNELS: tuple[str, ...] = ("app", "mini_program", "web", "marketplace", "store")
_CHANNEL_SHARES = np.cumsum([0.48, 0.22, 0.14, 0.11, 0.05])
_METHODS: tuple[str, ...] = ("wallet", "card", "instalment")
_METHOD_SHARES = np.cumsum([0.62, 0.30, 0.08])
_FOREIGN_TOKEN = 9_000_000


class _Sku(NamedTuple):
    """What every line of a SKU has in common."""

    sku: str
    price: Money
    cents: int
    weight_g: int
    volume_cm3: int
    category: str
    temp_class: str
    supplier: str
    tags: tuple[str, ...]


def _skus(catalogue: Catalogue) -> tuple[_Sku, ...]:
    found = []
    for i, index in enumerate(catalogue.category.tolist()):
        kind, cents = CATEGORIES[index], int(catalogue.price_cents[i])
        flags = (
            ("presale", catalogue.presale[i]), ("cross_border", catalogue.imported[i]), ("fresh", kind.chilled), ("bulky", kind.bulky),
        )  # fmt: skip
        found.append(
            _Sku(
                sku_id(i),
                Money(amount=Decimal(cents).scaleb(-2), currency=CURRENCY),
                cents,
                int(catalogue.weight_g[i]),
                int(catalogue.volume_cm3[i]),
                kind.name,
                "chilled" if kind.chilled else "ambient",
                supplier_id(int(catalogue.supplier[i])),
                tuple(tag for tag, on in flags if on),
            )  # fmt: skip
        )
    return tuple(found)


class OrderBuilder:
    """Turns the drafts of one day after the other into orders and events."""

    def __init__(self, calendar: Calendar, network: NetworkDays, catalogue: Catalogue, people: People) -> None:
        self._calendar, self._network, self._people = calendar, network, people
        self._skus = _skus(catalogue)
        self._launch_day = catalogue.launch_day.tolist()
        self._count = 0
        self._stolen = 0

    def build(self, day: int, drafts: Drafts, fates: Fates, rng: np.random.Generator) -> Iterator[SimulatedOrder | Event]:
        """Orders and events of ``day``; not in the order of time."""
        n = drafts.count
        rows = _Rows(drafts, fates, self._people)
        chance = rng.random((n, 8))
        channel, method = pick(rng, _CHANNEL_SHARES, n).tolist(), pick(rng, _METHOD_SHARES, n).tolist()
        offset = rng.normal(0.0, 0.06, (n, 2)).round(4)
        for i in range(n):
            self._count += 1
            chances = chance[i].tolist()
            lines, tags = self._lines(rows, i, day)
            order = self._order(rows, i, lines, tags, CHANNELS[channel[i]], _METHODS[method[i]], offset[i].tolist())
            shipments = self._shipments(rows, i, order, day)
            simulated = _simulated(rows, i, order, shipments)
            yield simulated
            yield from self._payments(rows, i, order, day, chances)
            yield from _fulfilment_events(rows, i, simulated, chances)

    def _lines(self, rows: _Rows, i: int, day: int) -> tuple[tuple[Line, ...], tuple[str, ...]]:
        lines, tags = [], {}
        for k in range(MAX_LINES):
            index = rows.skus[i][k]
            if index < 0:
                continue
            sku = self._skus[index]
            tags.update(dict.fromkeys(sku.tags))
            if self._launch_day[index] == day:
                tags["launch"] = None
            lines.append(
                Line(
                    line_id=str(k + 1),
                    sku=sku.sku,
                    qty=rows.pieces[i][k],
                    unit_price=sku.price,
                    weight_g=sku.weight_g,
                    volume_cm3=sku.volume_cm3,
                    category=sku.category,
                    temp_class=sku.temp_class,
                    attributes={"supplier_id": sku.supplier},
                )  # fmt: skip
            )
        if rows.service[i] == EXPRESS:
            tags["express"] = None
        return tuple(lines), tuple(tags)

    def _order(
        self, rows: _Rows, i: int, lines: tuple[Line, ...], tags: tuple[str, ...], channel: str, method: str, offset: list[float]
    ) -> Order:
        account = rows.account[i]
        city = CITIES[rows.city[i]]
        address = public_id("AD", rows.address[i])
        return Order(
            order_id=f"SO-{self._count:07d}",
            placed_at=rows.placed_at[i],
            channel=channel,
            currency=CURRENCY,
            tags=tags,
            promised_by=rows.promised_by[i],
            attributes={"service": SERVICES[rows.service[i]], "promise_node": NODES[rows.first_node[i]].node_id},
            customer=Customer(
                customer_id=public_id("C", account), segment=SEGMENTS[rows.segment[i]], registered_at=rows.registered_at[i]
            ),  # fmt: skip
            ship_to=Place(
                address_id=address, country="CN", region=REGIONS[city.region], city=city.name,
                lat=round(city.lat + offset[0], 4), lon=round(city.lon + offset[1], 4),
            ),
            bill_to=BillTo(address_id=public_id("AD", account * 16 + 15) if rows.mismatch[i] else address),
            device=Device(device_id=public_id("D", rows.device[i]), ip=public_ip(rows.ip[i])),
            payment=Payment(method=method, status="authorised", token=public_id("tok", account)),
            lines=lines,
        )  # fmt: skip

    def _shipments(self, rows: _Rows, i: int, order: Order, day: int) -> tuple[SimulatedShipment, ...]:
        if rows.cancelled[i]:
            return ()
        region, service = CITIES[rows.city[i]].region, rows.service[i]
        sent_by = carrier(region, service, self._network.lanes.epoch(day))
        found = []
        for number, row in enumerate(range(rows.first_shipment[i], rows.first_shipment[i + 1])):
            node = rows.shipment_node[row]
            lines = [line for line in order.lines if rows.node[i][int(line.line_id) - 1] == node]
            found.append(
                SimulatedShipment(
                    shipment_id=f"{order.order_id}-{number + 1}",
                    node_id=NODES[node].node_id,
                    region=REGIONS[region],
                    service=SERVICES[service],
                    carrier=sent_by,
                    lines=tuple((line.line_id, line.qty) for line in lines),
                    weight_g=float(sum(line.qty * (line.weight_g or 0.0) for line in lines)),
                    shipped_at=rows.shipped_at[row],
                    delivered_at=rows.delivered_at[row],
                    promised_by=rows.promised_by[i],
                    late=int(rows.late[row]),
                    known_at=rows.promised_by[i] + LATE_SETTLES,
                    p_knowable=rows.p_late[row],
                )
            )
        return tuple(found)

    def _payments(self, rows: _Rows, i: int, order: Order, day: int, chances: list[float]) -> Iterator[Event]:
        """Declined attempts just before, the order itself, the authorisation, and weeks later a chargeback."""
        parties, amount = _parties(order), _amount(order)
        earliest, at = self._calendar.start_of(day), order.placed_at
        for attempt in range(rows.declines[i]):
            back = int((attempt + 0.5 + chances[0]) * 45 * SECOND)
            data = {**parties, "amount": amount}
            if attempt < rows.foreign[i]:
                self._stolen += 1
                data["payment_token"] = public_id("tok", _FOREIGN_TOKEN + self._stolen)
            when = max(earliest, at - back)
            yield Event(f"{order.order_id}:declined:{attempt}", EventType.PAYMENT_DECLINED, when, when + 400, data)
        suppliers = tuple(dict.fromkeys(line.attributes["supplier_id"] for line in order.lines))
        placed = {
            "order_id": order.order_id, **parties, "amount": amount, "qty": sum(line.qty for line in order.lines),
            "skus": tuple(line.sku for line in order.lines), "supplier_ids": suppliers, "tags": order.tags, "promised_by": order.promised_by,
        }  # fmt: skip
        yield Event(f"{order.order_id}:placed", EventType.ORDER_PLACED, at, at + 200 + int(chances[1] * 600), placed)
        paid = {"order_id": order.order_id, **parties, "amount": amount}
        yield Event(f"{order.order_id}:paid", EventType.PAYMENT_AUTHORISED, at + 600, at + 900 + int(chances[1] * 600), paid)
        if rows.fraud[i]:
            when = at + int(min(44.0, max(3.0, 16.0 * np.exp(0.5 * (chances[2] + chances[3] + chances[4] - 1.5) * 2.0))) * DAY) - DAY
            data = {**placed, "skus": placed["skus"]}
            for name in ("qty", "supplier_ids", "tags", "promised_by"):
                del data[name]
            yield Event(f"{order.order_id}:chargeback", EventType.CHARGEBACK, when, when + int(chances[5] * 0.9 * DAY) + HOUR, data)


def _simulated(rows: _Rows, i: int, order: Order, shipments: tuple[SimulatedShipment, ...]) -> SimulatedOrder:
    promised = rows.promised_by[i]
    failure = None
    if rows.cancelled[i]:
        failure = CANCEL_CAUSES[rows.cause[i]]
    elif any(shipment.late for shipment in shipments):
        failure = "late"
    elif rows.returned[i]:
        failure = "returned"
    labels = {
        "fraud": Label(int(rows.fraud[i]), order.placed_at + FRAUD_SETTLES, rows.p_fraud[i]),
        "acceptance": Label(int(failure is not None), promised + RETURN_CLOSES, rows.p_failure[i]),
    }
    return SimulatedOrder(order, labels, shipments, Scene(rows.scene[i]).name.lower(), failure)


def _fulfilment_events(rows: _Rows, i: int, simulated: SimulatedOrder, chances: list[float]) -> Iterator[Event]:
    """Cancelled by us, or shipped and delivered and perhaps returned; carriers tell hours later."""
    order = simulated.order
    order_id, customer_id, region = order.order_id, order.customer.customer_id, order.ship_to.region
    if rows.cancelled[i]:
        at = order.placed_at + int((2.0 + 70.0 * chances[6] ** 2) * HOUR)
        data: dict[str, Any] = {
            "order_id": order_id, "customer_id": customer_id, "skus": tuple(line.sku for line in order.lines), "region": region,
            "supplier_ids": tuple(dict.fromkeys(line.attributes["supplier_id"] for line in order.lines)),
            "node_id": NODES[rows.first_node[i]].node_id, "reason": simulated.failure,
        }  # fmt: skip
        yield Event(f"{order_id}:cancelled", EventType.CANCELLED, at, at + 5 * MINUTE, data)
        return
    by_line = {line.line_id: line for line in order.lines}
    last: Millis = 0
    for shipment in simulated.shipments:
        lines = [by_line[line_id] for line_id, _ in shipment.lines]
        common = {
            "order_id": order_id, "node_id": shipment.node_id, "region": region, "customer_id": customer_id,
            "shipment_id": shipment.shipment_id, "service": shipment.service, "skus": tuple(line.sku for line in lines),
            "supplier_ids": tuple(dict.fromkeys(line.attributes["supplier_id"] for line in lines)),
        }  # fmt: skip
        due = order.placed_at + (shipment.promised_by - order.placed_at) * 2 // 5
        out, there = shipment.shipped_at, shipment.delivered_at
        sent = {**common, "due_at": due, "late": out > due, "delay_h": round((out - due) / HOUR, 2)}
        yield Event(f"{shipment.shipment_id}:shipped", EventType.SHIPPED, out, out + int((5 + 55 * chances[6]) * MINUTE), sent)
        arrived = {
            **common, "promised_by": shipment.promised_by, "late": bool(shipment.late),
            "delay_h": round((there - shipment.promised_by) / HOUR, 2), "transit_h": round((there - out) / HOUR, 2),
        }  # fmt: skip
        yield Event(f"{shipment.shipment_id}:delivered", EventType.DELIVERED, there, there + int((0.2 + 9 * chances[7]) * HOUR), arrived)
        last = max(last, there)
    if rows.returned[i]:
        at = last + int((0.8 + 6.0 * chances[5]) * DAY)
        back = {"order_id": order_id, "customer_id": customer_id, "skus": tuple(line.sku for line in order.lines), "amount": _amount(order)}
        back["reason"] = "late" if simulated.failure == "late" else ("fit", "quality", "changed_mind")[int(chances[4] * 3)]
        yield Event(f"{order_id}:returned", EventType.RETURNED, at, at + int((2 + 8 * chances[3]) * HOUR), back)


def _amount(order: Order) -> float:
    return order.total_micros / 1_000_000


def _parties(order: Order) -> dict[str, Any]:
    assert order.device is not None
    assert order.payment is not None
    return {
        "customer_id": order.customer.customer_id, "device_id": order.device.device_id, "address_id": order.ship_to.address_id,
        "payment_token": order.payment.token, "ip": order.device.ip, "region": order.ship_to.region, "channel": order.channel,
    }  # fmt: skip


class _Rows:
    """Columns of one day as plain lists: reading single numbers out of arrays would cost more than all the rest."""

    def __init__(self, drafts: Drafts, fates: Fates, people: People) -> None:
        for source in (drafts, fates):
            for name in source.__slots__:
                value = getattr(source, name)
                if isinstance(value, np.ndarray):
                    setattr(self, name, value.tolist())
        self.city: list[int] = people.city[drafts.account].tolist()
        self.segment: list[int] = people.segment[drafts.account].tolist()
        self.registered_at: list[int] = people.registered_at[drafts.account].tolist()
        self.first_shipment: list[int] = np.searchsorted(fates.shipment_order, np.arange(drafts.count + 1)).tolist()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)
