"""What the exact plan saves on real baskets against two usual rules: python -m benchmarks.baskets [--data FOLDER] [--baskets N].

Baskets are the ordinary invoices of UCI Online Retail with 2 to 10 different items; cost tables and SKU weights are those that two retailers
published with IPMOF (a price per shipment and per unit of weight for each warehouse and region). The four warehouses of both retailers serve the four
regions that both tables know. What is not in the data is drawn by a fixed seed and said here: a basket's region, an item's weight among the
published ones, and which warehouse has it (the two large ones 90 % of the items, the two small ones 50 %).

- ``nearest node``: each item from the cheapest warehouse a kilogram that has it.
- ``fewest shipments``: the smallest set of warehouses that has everything, the cheapest a kilogram among equals; in it, as above.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from models.splitting import Problem, solve, warm

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"
REGIONS = ("Region001", "Region002", "Region003", "Region004")
SEED = 7
LARGE, SMALL = 0.9, 0.5
PLENTY = 1_000_000


@dataclass(frozen=True)
class Tables:
    """The warehouses, their price per shipment and per weight unit by region (regions, nodes), and the published weights."""

    nodes: tuple[str, ...]
    fixed: NDArray[np.float64]
    rate: NDArray[np.float64]
    weights: NDArray[np.float64]


def read_tables(folder: Path) -> Tables:
    """Both retailers' tables, the regions that both know."""
    lanes: dict[tuple[str, str], tuple[float, float]] = {}
    weights: list[float] = []
    for retailer in ("retailer1", "retailer2"):
        with (folder / f"{retailer}_trans_info.csv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["type"] == "fulfillment" and row["to"] in REGIONS:
                    lanes[row["from"], row["to"]] = float(row["intercept"]), float(row["coef"])
        with (folder / f"{retailer}_sku_info.csv").open(encoding="utf-8") as file:
            weights += [float(row["sku_weight"]) for row in csv.DictReader(file)]
    nodes = tuple(sorted({node for node, _ in lanes}))
    table = np.array([[lanes[node, region] for node in nodes] for region in REGIONS])
    return Tables(nodes, table[..., 0], table[..., 1], np.array(weights))


def read_baskets(path: Path) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Item numbers and quantities of each ordinary invoice with 2 to 10 different items."""
    rows = duckdb.sql(f"""
        with lines as (
            select InvoiceNo as invoice, dense_rank() over (order by StockCode) - 1 as item, sum(Quantity)::bigint as qty
            from '{path}' where Quantity > 0 and InvoiceNo not like 'C%' group by InvoiceNo, StockCode)
        select list(item order by item), list(qty order by item) from lines group by invoice having count(*) between 2 and 10 order by invoice
    """).fetchall()
    return [(np.array(items, dtype=np.int64), np.array(quantities, dtype=np.int64)) for items, quantities in rows]


def problems(tables: Tables, baskets: list[tuple[NDArray[np.int64], NDArray[np.int64]]], *, single: bool) -> Iterator[tuple[Problem, int]]:
    """Each basket as a splitting problem, and its region; with ``single`` one piece of each item. A basket with an item that no warehouse has is left out."""
    rng = np.random.default_rng(SEED)
    items = 1 + max(int(item.max()) for item, _ in baskets)
    weight = rng.choice(tables.weights, items)
    has = rng.random((len(tables.nodes), items)) < np.array([LARGE if node.startswith("RDC") else SMALL for node in tables.nodes])[:, None]
    for (item, ordered), region in zip(baskets, rng.integers(0, len(REGIONS), len(baskets)), strict=True):
        if not has[:, item].any(axis=0).all():
            continue
        cost = weight[item][:, None] * tables.rate[region][None, :] * 1e6
        yield (
            Problem(
                quantity=np.ones_like(ordered) if single else ordered,
                sku=np.arange(item.size),
                piece_cost=np.rint(cost).astype(np.int64),
                allowed=np.ones(cost.shape, np.bool_),
                node=np.arange(len(tables.nodes)),
                fixed=np.rint(tables.fixed[region] * 1e6).astype(np.int64),
                stock=has[:, item] * PLENTY,
                capacity=np.full(len(tables.nodes), -1),
            ),
            int(region),
        )


def by_nearest(problem: Problem, rate: NDArray[np.float64], nodes: tuple[int, ...] | None = None) -> tuple[int, int]:
    """Cost and shipments when each line goes out from the cheapest node a kilogram that has it, among ``nodes``."""
    allowed = range(problem.node.size) if nodes is None else nodes
    near = [min((n for n in allowed if problem.stock[n, i]), key=lambda n: (rate[n], n)) for i in range(problem.quantity.size)]
    carriage = sum(int(problem.quantity[i] * problem.piece_cost[i, n]) for i, n in enumerate(near))
    return carriage + int(problem.fixed[sorted(set(near))].sum()), len(set(near))


def by_fewest(problem: Problem, rate: NDArray[np.float64]) -> tuple[int, int]:
    """Cost and shipments of the smallest set of nodes that has everything."""
    for size in range(1, problem.node.size + 1):
        sets = [nodes for nodes in combinations(range(problem.node.size), size) if problem.stock[list(nodes)].any(axis=0).all()]
        if sets:
            return by_nearest(problem, rate, min(sets, key=lambda nodes: (sum(rate[list(nodes)]), nodes)))
    raise AssertionError("every basket can be shipped")


def measure(tables: Tables, baskets: list[tuple[NDArray[np.int64], NDArray[np.int64]]], *, single: bool) -> str:
    """One row of the table."""
    cost, shipments = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    count, dearer, spent = 0, np.zeros(2, dtype=np.int64), 0.0
    for problem, region in problems(tables, baskets, single=single):
        started = time.thread_time()
        answer = solve(problem, runner_up=False)
        spent += time.thread_time() - started
        assert answer.proven
        assert answer.plan is not None
        assert answer.plan.left_out == 0
        found = [
            (answer.plan.cost, len(answer.plan.options)),
            by_nearest(problem, tables.rate[region]),
            by_fewest(problem, tables.rate[region]),
        ]
        assert min(found)[0] == answer.plan.cost, "no rule beats a proven optimum"
        cost += [one[0] for one in found]
        shipments += [one[1] for one in found]
        dearer += [one[0] > answer.plan.cost for one in found[1:]]
        count += 1
    saved = 100 * (1 - cost[0] / cost[1:])
    return (
        f"{'one piece of each item' if single else 'as ordered':24} {count:8} {cost[0] / count / 1e6:9.2f} {cost[1] / count / 1e6:9.2f} {cost[2] / count / 1e6:9.2f}"
        f" {saved[0]:9.1f} % {saved[1]:9.1f} % {100 * dearer[0] / count:9.0f} % {100 * dearer[1] / count:9.0f} %"
        f" {' / '.join(f'{s / count:.2f}' for s in shipments):>18} {spent / count * 1e6:8.0f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED, help="folder with online_retail and ipmof_costs")
    parser.add_argument("--baskets", type=int, default=None, help="only the first so many")
    options = parser.parse_args()
    if not (options.data / "online_retail").exists():
        print(f"no data in {options.data}: name the folder that holds online_retail and ipmof_costs with --data")
        return
    warm()
    tables = read_tables(options.data / "ipmof_costs")
    baskets = read_baskets(options.data / "online_retail" / "online_retail.parquet")[: options.baskets]
    print(
        f"{'baskets':24} {'number':>8} {'exact':>9} {'nearest':>9} {'fewest':>9} {'saved/nearest':>11} {'saved/fewest':>11} {'dearer':>9} {'dearer':>10} {'shipments each':>20} {'µs CPU':>8}"
    )
    for single in (False, True):
        print(measure(tables, baskets, single=single))


if __name__ == "__main__":
    main()
