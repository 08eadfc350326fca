"""From numbers to what the OMS would send: order requests, with what really became of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from feature_store.order import BillTo, Customer, Device, Line, Money, Order, Payment, Place
from training.world.catalogue import CATEGORIES, Catalogue, sku_id, supplier_id
from training.world.fulfilment import CANCEL_CAUSES, FRAUD_SETTLES, LATE_SETTLES, RETURN_CLOSES
from training.world.network import CITIES, NODES, NetworkDays, carrier
from training.world.people import SEGMENTS, device_serial
from training.world.rows import CHANNELS, METHODS, Row
from training.world.scenes import Scene
from training.world.streets import next_door, street
from training.world.values import EXPRESS, REGIONS, SERVICES, Label, SimulatedOrder, SimulatedShipment, public_id, public_ip

CURRENCY = "CNY"
_BILLING_ADDRESS = 15


class _Sku(NamedTuple):
    """What all lines of a SKU have in common."""

    sku: str
    price: Money
    weight_g: int
    volume_cm3: int
    category: str
    temp_class: str
    supplier: str
    launch_day: int
    tags: tuple[str, ...]


def _skus(catalogue: Catalogue) -> Iterator[_Sku]:
    for i, index in enumerate(catalogue.category.tolist()):
        kind = CATEGORIES[index]
        flags = {"presale": catalogue.presale[i], "cross_border": catalogue.imported[i], "fresh": kind.chilled, "bulky": kind.bulky}
        yield _Sku(
            sku=sku_id(i),
            price=_money(int(catalogue.price_cents[i])),
            weight_g=int(catalogue.weight_g[i]),
            volume_cm3=int(catalogue.volume_cm3[i]),
            category=kind.name,
            temp_class="chilled" if kind.chilled else "ambient",
            supplier=supplier_id(int(catalogue.supplier[i])),
            launch_day=int(catalogue.launch_day[i]),
            tags=tuple(tag for tag, on in flags.items() if on),
        )


def _money(cents: int) -> Money:
    return Money(amount=Decimal(cents).scaleb(-2), currency=CURRENCY)


class OrderBuilder:
    """Turns the rows of one day after the other into orders, numbered by time."""

    def __init__(self, network: NetworkDays, catalogue: Catalogue) -> None:
        self._lanes = network.lanes
        self._catalogue = catalogue
        self._skus = tuple(_skus(catalogue))
        self._prices: list[Money] = []
        self._count = 0

    def build(self, day: int, rows: Iterable[Row]) -> Iterator[tuple[Row, SimulatedOrder]]:
        """The orders of ``day``, each with the row that it was made from."""
        epoch = self._lanes.epoch(day)
        reduced, now = self._catalogue.discount[day] > 0.0, self._catalogue.price_on(day).tolist()
        self._prices = [_money(now[i]) if less else self._skus[i].price for i, less in enumerate(reduced.tolist())]
        for row in rows:
            self._count += 1
            order = self._order(f"SO-{self._count:07d}", row, day)
            yield row, _simulated(row, order, () if row.cancelled else tuple(_shipments(row, order, epoch)))

    def _order(self, order_id: str, row: Row, day: int) -> Order:
        goods = [(k, self._skus[index], self._prices[index]) for k, index in enumerate(row.skus) if index >= 0]
        tags = dict.fromkeys(tag for _, sku, _ in goods for tag in sku.tags)
        if any(sku.launch_day == day for _, sku, _ in goods):
            tags["launch"] = None
        if row.service == EXPRESS:
            tags["express"] = None
        city, address = CITIES[row.city], public_id("AD", row.address)
        written = street(row.address)
        billed = BillTo(address_id=address, street=written)
        if row.mismatch:
            elsewhere = device_serial(row.account, _BILLING_ADDRESS)
            billed = BillTo(address_id=public_id("AD", elsewhere), street=next_door(written) if row.near else street(elsewhere))
        return Order(
            order_id=order_id,
            placed_at=row.placed_at,
            channel=CHANNELS[row.channel],
            currency=CURRENCY,
            tags=tuple(tags),
            promised_by=row.promised_by,
            attributes={"service": SERVICES[row.service], "promise_node": NODES[row.node[0]].node_id},
            customer=Customer(customer_id=public_id("C", row.account), segment=SEGMENTS[row.segment], registered_at=row.registered_at),
            ship_to=Place(
                address_id=address,
                country="CN",
                region=REGIONS[city.region],
                city=city.name,
                street=written,
                lat=round(city.lat + row.offset[0], 4),
                lon=round(city.lon + row.offset[1], 4),
            ),
            bill_to=billed,
            device=Device(device_id=public_id("D", row.device), ip=public_ip(row.ip)),
            payment=Payment(method=METHODS[row.method], status="authorised", token=public_id("tok", row.account)),
            lines=tuple(_line(k, sku, price, row.pieces[k]) for k, sku, price in goods),
        )


def _line(k: int, sku: _Sku, price: Money, pieces: int) -> Line:
    return Line(
        line_id=str(k + 1),
        sku=sku.sku,
        qty=pieces,
        unit_price=price,
        weight_g=sku.weight_g,
        volume_cm3=sku.volume_cm3,
        category=sku.category,
        temp_class=sku.temp_class,
        attributes={"supplier_id": sku.supplier},
    )


def _shipments(row: Row, order: Order, epoch: int) -> Iterator[SimulatedShipment]:
    region = CITIES[row.city].region
    sent_by = carrier(region, row.service, epoch)
    for number, parcel in enumerate(row.parcels, start=1):
        lines = [line for line in order.lines if row.node[int(line.line_id) - 1] == parcel.node]
        yield SimulatedShipment(
            shipment_id=f"{order.order_id}-{number}",
            node_id=NODES[parcel.node].node_id,
            region=REGIONS[region],
            service=SERVICES[row.service],
            carrier=sent_by,
            lines=tuple((line.line_id, line.qty) for line in lines),
            weight_g=float(sum(line.qty * (line.weight_g or 0.0) for line in lines)),
            shipped_at=parcel.shipped_at,
            delivered_at=parcel.delivered_at,
            promised_by=row.promised_by,
            late=int(parcel.late),
            known_at=row.promised_by + LATE_SETTLES,
            p_knowable=parcel.p_late,
        )


def _simulated(row: Row, order: Order, shipments: tuple[SimulatedShipment, ...]) -> SimulatedOrder:
    failure = None
    if row.cancelled:
        failure = CANCEL_CAUSES[row.cause]
    elif any(shipment.late for shipment in shipments):
        failure = "late"
    elif row.returned:
        failure = "returned"
    labels = {
        "fraud": Label(int(row.fraud), row.placed_at + FRAUD_SETTLES, row.p_fraud),
        "acceptance": Label(int(failure is not None), row.promised_by + RETURN_CLOSES, row.p_failure),
    }
    return SimulatedOrder(order, labels, shipments, Scene(row.scene).name.lower(), failure)
