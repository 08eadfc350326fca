"""The terms of the objective in whole millionths: tariffs and their steps, lateness, carbon, and what a piece of scarce stock is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_store.network import Network, Rate
from governance.shipment_asks import Prices, Weights
from models.splitting import ProblemRefused

I64 = NDArray[np.int64]


def options_of(rates: Sequence[Rate]) -> tuple[tuple[Rate, ...], I64 | None, I64 | None]:
    """What may ship: each rate, and before it each step of its tariff; the weight that each carries in mg, −1 for any; and the rate of each."""
    if not any(rate.steps or rate.max_weight_mg is not None for rate in rates):
        return tuple(rates), None, None
    options: list[Rate] = []
    limit: list[int] = []
    lane: list[int] = []
    for number, rate in enumerate(rates):
        most = rate.max_weight_mg
        for up_to, fixed, per_kg in sorted((tuple(step) for step in rate.steps), key=lambda step: step[0]):
            options.append(replace(rate, fixed_micros=fixed, per_kg_micros=per_kg))
            limit.append(up_to if most is None else min(up_to, most))
            lane.append(number)
        options.append(rate)
        limit.append(-1 if most is None else most)
        lane.append(number)
    return tuple(options), np.array(limit, dtype=np.int64), np.array(lane, dtype=np.int64)


def piece_terms(
    weight_g: NDArray[np.float64], lanes: Sequence[Rate], weights: Weights, prices: Prices
) -> tuple[I64, NDArray[np.float64], I64]:
    """Of one piece of each line on each lane: carriage in micros and CO₂e in grams (lines, lanes), and its weighted cost and carbon (2, lines, lanes)."""
    per_kg = np.array([lane.per_kg_micros for lane in lanes], dtype=np.float64)
    co2e_g = weight_g[:, None] * np.array([lane.co2e_g_per_kg for lane in lanes])[None, :] / 1000.0
    carriage = whole_micros(weight_g[:, None] * per_kg[None, :] / 1000.0)
    term_piece = np.stack([whole_micros(carriage * weights.cost), whole_micros(co2e_g * (prices.carbon_per_kg / 1000.0 * weights.carbon))])
    return carriage, co2e_g, term_piece


def shipment_terms(own: NDArray[np.float64], p_late: NDArray[np.float64], weights: Weights, prices: Prices) -> I64:
    """Weighted cost, lateness and split penalty of one shipment on each lane, micros (3, lanes); ``own`` is its fixed and processing cost."""
    late = p_late * late_micros(weights, prices)
    return np.stack(
        [whole_micros(own * weights.cost), whole_micros(late), np.full(len(own), split_micros(weights, prices), dtype=np.int64)]
    )


def late_micros(weights: Weights, prices: Prices) -> int:
    """What a shipment costs that is certainly late, micros."""
    return int(whole_micros(np.array([prices.late_shipment * weights.lateness]))[0])


def scarcity_of(quantity: I64, sku: I64, stock: I64, cushion: I64, prices: Prices) -> I64:
    """Shadow price of a piece of each line at each node, micros (lines, nodes).

    The j-th piece taken of u usable ones is missed when others ask for more than u − j until the refill. Their demand is taken as equally likely
    anywhere between nought and ``cushion`` pieces, so the piece costs ``scarce_stock`` × max(0, 1 − (u − j) ÷ cushion); told here is the average over
    the pieces that the order could take there.
    """
    price = np.zeros((quantity.size, stock.shape[0]), dtype=np.int64)
    if prices.scarce_stock == 0 or not cushion.any():
        return price
    usable, most = stock[:, sku].T, cushion[:, sku].T
    taken = np.minimum(quantity[:, None], usable)
    first = np.clip(usable - most + 1, 1, None)
    missed = np.clip(taken - first + 1, 0, None)
    short = missed * (most - usable) + missed * (first + np.maximum(taken, first)) // 2
    share = np.where((taken > 0) & (most > 0), short / np.maximum(taken * most, 1), 0.0)
    return whole_micros(share * float(prices.scarce_stock))


def split_micros(weights: Weights, prices: Prices) -> int:
    """What each shipment costs as one more, micros."""
    return int(whole_micros(np.array([prices.split * weights.split]))[0])


def stock_of(network: Network, index: Mapping[str, int], skus: Sequence[str]) -> tuple[I64, I64, I64, I64]:
    """By node and SKU: usable pieces, those held back as safety stock, those that other orders' plans have reserved, and the most that others may ask.

    The last is twice the expected demand. Where nobody told one it is the safety stock, which a planner sets by how much demand may surprise; but
    not of stock that the request tells: its sender knows what it has promised.
    """
    usable, held, reserved, cushion = np.zeros((4, len(index), len(skus)), dtype=np.int64)
    column = {sku: s for s, sku in enumerate(skus)}
    told = "stock" in network.supplied
    for item in network.stock:
        n, s = index.get(item.node_id), column.get(item.sku)
        if n is not None and s is not None:
            usable[n, s] = item.usable
            held[n, s] = max(0, item.available) - item.free
            reserved[n, s] = item.free - item.usable
            expected = item.expected_demand
            cushion[n, s] = 2 * expected if expected is not None else 0 if told else max(0, item.safety)
    return usable, held, reserved, cushion


def whole_micros(values: NDArray[Any]) -> I64:
    """Rounded to whole millionths.

    Raises:
        ProblemRefused: too large to be added exactly.
    """
    if values.size and not np.abs(values).max() < 2.0**52:
        raise ProblemRefused("the order's weights and rates are too large to be added exactly")
    whole: I64 = np.rint(values).astype(np.int64)
    return whole
