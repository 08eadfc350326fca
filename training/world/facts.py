"""Events about the world itself: what is listed, priced, contracted, forecast, staffed, broken and in stock; and who registers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from feature_store.events import Event, EventType
from feature_store.times import DAY, HOUR, MINUTE, SECOND, Millis
from training.world.calendar import Calendar
from training.world.catalogue import CATEGORIES, SUPPLIER_REPORT_DAYS, Catalogue, sku_id, supplier_id
from training.world.network import (
    CHANGED_REGIONS,
    CITIES,
    CUSTOMS_BEFORE,
    CUSTOMS_NOTICE_DAYS,
    NODES,
    PORTS,
    STATUS,
    WORKS,
    NetworkDays,
    carrier,
)
from training.world.people import SEGMENTS, People, device_serial, foreign_serial
from training.world.streets import street
from training.world.travel import PRESALE_LEAD_DAYS, clearance_h
from training.world.values import REGIONS, SERVICES, public_id

REPORT_BEFORE: Millis = 30 * MINUTE
"""Nodes, suppliers and stock report half an hour before midnight for the day to come."""
REPORT_TAKES: Millis = 10 * MINUTE


def base_events(calendar: Calendar, network: NetworkDays, catalogue: Catalogue) -> Iterator[Event]:
    """What is known before the first day: SKUs, rates, the customs rule in force."""
    at = calendar.midnight - DAY
    for sku in range(len(catalogue.category)):
        kind = CATEGORIES[catalogue.category[sku]]
        data = {
            "sku": sku_id(sku),
            "category": kind.name,
            "supplier_id": supplier_id(int(catalogue.supplier[sku])),
            "price": int(catalogue.price_cents[sku]) / 100,
            "presale": bool(catalogue.presale[sku]),
            "temp_class": "chilled" if kind.chilled else "ambient",
            "weight_g": int(catalogue.weight_g[sku]),
            "volume_cm3": int(catalogue.volume_cm3[sku]),
        }
        if catalogue.presale[sku]:
            data["lead_days"] = PRESALE_LEAD_DAYS
        if catalogue.launch_day[sku] >= 0:
            data["launch_at"] = calendar.start_of(int(catalogue.launch_day[sku])) + 10 * HOUR
        yield Event(f"listed:{sku_id(sku)}", EventType.SKU_LISTED, at, at + SECOND, data)
    yield from _rates(calendar, network, 0, range(len(REGIONS)))
    for region in REGIONS:
        data = _customs(region, CUSTOMS_BEFORE, "personal parcels by simplified declaration")
        yield Event(f"customs:{region}:0", EventType.CUSTOMS_RULE, at, at + MINUTE, data, valid_from=at)


def _customs(region: str, strictness: float, rule: str) -> dict[str, Any]:
    return {"region": region, "strictness": strictness, "rule": rule, "clearance_h": round(clearance_h(strictness), 1)}


def daily_events(calendar: Calendar, network: NetworkDays, catalogue: Catalogue, day: int) -> Iterator[Event]:
    """What is reported and forecast for ``day``, known on the evening before."""
    if day >= calendar.days:
        return
    yield from _node_reports(calendar, network, day)
    yield from _stock_reports(calendar, catalogue, day)
    yield from _outages(calendar, network, day)
    yield from _weather(calendar, network, day)
    yield from _ports(calendar, network, day)
    yield from _prices(calendar, catalogue, day)
    if day % SUPPLIER_REPORT_DAYS == 0:
        yield from _supplier_reports(calendar, catalogue, day)
    if day == network.lanes.change_day:
        yield from _rates(calendar, network, 1, CHANGED_REGIONS)
    if day == network.customs_day - CUSTOMS_NOTICE_DAYS:
        at = calendar.start_of(day) - 8 * HOUR
        for region in REGIONS:
            data = _customs(region, float(network.customs[-1]), "full declaration, single parcels up to 5,000 CNY")
            start = calendar.start_of(network.customs_day)
            yield Event(f"customs:{region}:1", EventType.CUSTOMS_RULE, at, at + HOUR, data, valid_from=start)


def _node_reports(calendar: Calendar, network: NetworkDays, day: int) -> Iterator[Event]:
    at = calendar.start_of(day) - REPORT_BEFORE
    for n, node in enumerate(NODES):
        able = node.capacity * float(network.staffing[day, n]) * float(WORKS[network.status[day, n]])
        data = {
            "node_id": node.node_id,
            "region": REGIONS[node.region],
            "lat": node.lat,
            "lon": node.lon,
            "status": STATUS[network.status[day, n]],
            "capacity": node.capacity,
            "capacity_left": max(0, round(able - float(network.backlog[day, n]))),
            "backlog": int(network.backlog[day, n]),
            "staffing": float(network.staffing[day, n]),
            "cutoff_hour": node.cutoff_hour,
            "processing_h": node.processing_h,
            "processing_cost": node.processing_cost,
            "temp_classes": node.temp_classes,
        }
        yield Event(f"node:{node.node_id}:{day}", EventType.NODE_STATUS, at, at + REPORT_TAKES, data)


def _stock_reports(calendar: Calendar, catalogue: Catalogue, day: int) -> Iterator[Event]:
    at = calendar.start_of(day) - REPORT_BEFORE
    for n, sku in np.argwhere(catalogue.reported[day]).tolist():
        node = NODES[n].node_id
        data = {
            "node_id": node,
            "sku": sku_id(sku),
            "available": int(catalogue.stock[day, n, sku]),
            "safety": int(catalogue.safety[n, sku]),
        }
        yield Event(f"stock:{node}:{sku_id(sku)}:{day}", EventType.STOCK_LEVEL, at, at + REPORT_TAKES, data)


def _weather(calendar: Calendar, network: NetworkDays, day: int) -> Iterator[Event]:
    start = calendar.start_of(day)
    for r, region in enumerate(REGIONS):
        data = {"region": region, "severity": float(network.forecast[day, r]), "valid_to": start + DAY}
        yield Event(f"weather:{region}:{day}", EventType.WEATHER, start - 6 * HOUR, start - 6 * HOUR + 5 * MINUTE, data, valid_from=start)


def _outages(calendar: Calendar, network: NetworkDays, day: int) -> Iterator[Event]:
    """What is broken from ``day`` on, and until when it is said to be repaired."""
    start = calendar.start_of(day)
    for number, outage in enumerate(network.outages):
        if outage.day == day:
            node, at = NODES[outage.node].node_id, start - REPORT_BEFORE
            severity = round(1.0 - float(WORKS[outage.status]), 2)
            data = {"node_id": node, "severity": severity, "kind": outage.kind, "valid_to": start + outage.days * DAY}
            yield Event(f"outage:{node}:{number}", EventType.NODE_OUTAGE, at, at + REPORT_TAKES, data, valid_from=start)


def _ports(calendar: Calendar, network: NetworkDays, day: int) -> Iterator[Event]:
    """How long ships are expected to wait; nothing is said of a port that is clear."""
    start = calendar.start_of(day)
    for p, (port, regions) in enumerate(PORTS):
        wait = float(network.port[day, p])
        for r in regions if wait else ():
            region = REGIONS[r]
            data = {"region": region, "severity": min(1.0, round(wait / 7.0, 2)), "port": port, "wait_days": wait, "valid_to": start + DAY}
            yield Event(
                f"port:{region}:{day}", EventType.PORT_CONGESTION, start - 7 * HOUR, start - 7 * HOUR + 20 * MINUTE, data, valid_from=start
            )


def _prices(calendar: Calendar, catalogue: Catalogue, day: int) -> Iterator[Event]:
    """What costs more or less from the first moment of ``day`` on."""
    at, now = calendar.start_of(day), catalogue.price_on(day)
    before = catalogue.price_on(day - 1) if day else catalogue.price_cents
    for sku in np.flatnonzero(now != before).tolist():
        data = {"sku": sku_id(sku), "price": int(now[sku]) / 100}
        yield Event(f"price:{sku_id(sku)}:{day}", EventType.PRICE_CHANGED, at, at, data)


def _supplier_reports(calendar: Calendar, catalogue: Catalogue, day: int) -> Iterator[Event]:
    at = calendar.start_of(day) - 2 * HOUR
    for s, capacity in enumerate(catalogue.supplier_capacity.tolist()):
        data = {
            "supplier_id": supplier_id(s),
            "open_orders": round(capacity * float(catalogue.supplier_load[day, s])),
            "capacity": capacity,
            "delay_days": float(catalogue.supplier_delay[day, s]),
        }
        yield Event(f"supplier:{supplier_id(s)}:{day}", EventType.SUPPLIER_STATUS, at, at + HOUR, data)


def _rates(calendar: Calendar, network: NetworkDays, epoch: int, regions: range | tuple[int, ...]) -> Iterator[Event]:
    lanes = network.lanes
    day = lanes.change_day if epoch else 0
    at = calendar.start_of(day) - 12 * HOUR
    for n, node in enumerate(NODES):
        for r in regions:
            for s, service in enumerate(SERVICES):
                data = {
                    "node_id": node.node_id,
                    "region": REGIONS[r],
                    "service": service,
                    "carrier": carrier(r, s, epoch),
                    "fixed": float(lanes.fixed[n, r, s]),
                    "per_kg": float(lanes.per_kg[n, r, s]),
                    "transit_days": float(lanes.transit_days[epoch, n, r, s]),
                    "co2e_g_per_kg": float(lanes.co2e_g_per_kg[n, r, s]),
                }
                yield Event(f"rate:{node.node_id}:{REGIONS[r]}:{service}:{epoch}", EventType.LANE_RATE, at, at + MINUTE, data)


def registration(people: People, account: int) -> Event:
    """An account is opened; the address book of accounts that share an address says so from then on."""
    group = int(people.group[account])
    address = foreign_serial(group) if group >= 0 else device_serial(account, 0)
    data = {
        "customer_id": public_id("C", account),
        "segment": SEGMENTS[people.segment[account]],
        "region": REGIONS[CITIES[people.city[account]].region],
        "address_id": public_id("AD", address),
        "street": street(address),
    }
    at = int(people.registered_at[account])
    return Event(f"registered:{data['customer_id']}", EventType.CUSTOMER_REGISTERED, at, at + 2 * SECOND, data)
