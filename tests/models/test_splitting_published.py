"""The splitter against published facility location problems with known optima: 16 × 50, 25 × 50 and 50 × 100."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.splitting import Problem, Solution, solve

PUBLISHED = Path(__file__).parents[2] / ".." / "shared" / "data" / "facility_location"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not PUBLISHED.exists(), reason="the published facility location problems are not beside the checkout"),
]


def problem_of(demand, capacity, opening, whole_cost, *, split: bool) -> Problem:
    """Costs in currency units of serving a customer's whole demand, by customer and site; millionths inside."""
    m, n = whole_cost.shape
    lines = np.ones(m, np.int64) if not split else demand
    return Problem(
        quantity=demand,
        sku=np.arange(m),
        piece_cost=np.rint(whole_cost / demand[:, None] * 1e6).astype(np.int64),
        allowed=np.ones((m, n), np.bool_),
        node=np.arange(n),
        fixed=np.rint(opening * 1e6).astype(np.int64),
        stock=np.broadcast_to(demand, (n, m)).copy(),
        capacity=capacity,
        groups=() if split else tuple((i,) for i in range(lines.size)),
    )


def warehouses(text: str, *, limited: bool) -> Problem:
    """An OR-Library warehouse location problem: a customer's demand may come from several sites."""
    numbers = [float(word) for word in text.split()]
    n, m = int(numbers[0]), int(numbers[1])
    sites, customers = np.array(numbers[2 : 2 + 2 * n]).reshape(n, 2), np.array(numbers[2 + 2 * n :]).reshape(m, n + 1)
    capacity = sites[:, 0].astype(np.int64) if limited else np.full(n, -1)
    return problem_of(customers[:, 0].astype(np.int64), capacity, sites[:, 1], customers[:, 1:], split=True)


def single_source(text: str) -> Problem:
    """A single-source problem: each customer is served by one site in full."""
    numbers = [float(word) for word in text.split()]
    n, m = int(numbers[0]), int(numbers[1])
    capacity, opening = np.array(numbers[2 : 2 + n]).astype(np.int64), np.array(numbers[2 + n : 2 + 2 * n])
    demand = np.array(numbers[2 + 2 * n : 2 + 2 * n + m]).astype(np.int64)
    return problem_of(demand, capacity, opening, np.array(numbers[2 + 2 * n + m :]).reshape(m, n), split=False)


def unlimited(text: str) -> Problem:
    """An uncapacitated problem in the simple format: per site its number, opening cost and the cost of each customer."""
    lines = text.splitlines()
    n, m = (int(word) for word in lines[1].split()[:2])
    rows = np.array([[int(word) for word in line.split()] for line in lines[2 : 2 + n]])
    return Problem(np.ones(m, np.int64), np.arange(m), np.ascontiguousarray(rows[:, 2:].T), np.ones((m, n), np.bool_), np.arange(n), rows[:, 1],
                   np.ones((n, m), np.int64), np.full(n, -1))  # fmt: skip


SPLIT = [
    ("uflp/BildeKrarup_B/B1.1", unlimited, 23468),
    ("uflp/BildeKrarup_B/B1.2", unlimited, 22119),
    ("cflp_split_allowed/cap41.txt", lambda text: warehouses(text, limited=False), 932615.75e6),
    ("cflp_split_allowed/cap91.txt", lambda text: warehouses(text, limited=False), 796648.4375e6),
    ("cflp_split_allowed/cap41.txt", lambda text: warehouses(text, limited=True), 1040444.375e6),
    ("cflp_split_allowed/cap91.txt", lambda text: warehouses(text, limited=True), 796648.4375e6),
]
WHOLE = [("p1", 932615.75), ("p2", 977799.40), ("p3", 1014099.61), ("p5", 932615.75), ("p9", 796648.44)]


def gap_is_true(answer: Solution, optimum: float) -> None:
    """The optimum, which leaves nothing out, lies between the bound and the plan."""
    assert answer.plan is not None
    assert answer.least_left_out == 0
    if answer.plan.left_out:
        assert answer.gap == 1.0
        return
    assert answer.least_cost <= optimum * (1 + 1e-8)
    assert answer.plan.cost >= optimum * (1 - 1e-8)


@pytest.mark.parametrize(("name", "read", "optimum"), SPLIT)
def test_published_optima(name, read, optimum):
    answer = solve(read((PUBLISHED / name).read_text()), runner_up=False)
    assert answer.proven
    assert answer.plan.left_out == 0
    assert answer.plan.cost == pytest.approx(optimum, rel=1e-9)


@pytest.mark.parametrize(("name", "optimum"), WHOLE)
def test_published_optima_where_a_customer_is_served_by_one_site(name, optimum):
    answer = solve(single_source((PUBLISHED / "sscflp_or_library" / name).read_text()), runner_up=False)
    gap_is_true(answer, optimum * 1e6)
    assert answer.proven
    assert answer.plan.cost == pytest.approx(optimum * 1e6, rel=1e-7)


@pytest.mark.parametrize("limit", [1, 5, 20])
@pytest.mark.parametrize(("name", "read", "optimum"), SPLIT)
def test_gap_of_a_search_cut_short_is_true(name, read, optimum, limit):
    answer = solve(read((PUBLISHED / name).read_text()), limit=limit, runner_up=False)
    gap_is_true(answer, optimum)
    assert answer.explored <= limit
    assert answer.plan.left_out or (answer.proven and answer.gap == 0.0) or 0.0 < answer.gap < 0.2
