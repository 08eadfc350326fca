"""The causes of the simulated world: evidence that is exact, beliefs that are unbiased, probabilities that come true, drift."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.world.drafts import DayDrawer
from training.world.fulfilment import Fulfilment
from training.world.network import NODES, REGIME_REST, REGIME_STEP, carrier, make_network
from training.world.people import MOBILE_NETWORKS, make_people
from training.world.scenes import (
    MAX_ORDERS,
    SIGNALS,
    Scene,
    age_evidence,
    bernoulli_evidence,
    draw_declines,
    draw_launch_pieces,
    draw_testing,
    family_evidence,
    night_density,
    prior_of,
    taste_evidence,
)
from training.world.stream import make_setting
from training.world.streets import next_door, street
from training.world.travel import RegimeFilter
from training.world.values import WorldConfig, public_id, rng_of


@pytest.fixture(scope="module")
def played():
    """The drafts and fates of 60,000 orders, without building the orders."""
    config = WorldConfig(60_000, 21)
    calendar, network, catalogue = make_setting(config)
    people, plan = make_people(config, calendar, {int(day): sku for sku, day in enumerate(catalogue.launch_day) if day >= 0})
    drawer, fulfilment = DayDrawer(calendar, catalogue, people, plan), Fulfilment(calendar, catalogue, network, people)
    days = []
    for day in range(calendar.days):
        drafts = drawer.draw(day, rng_of(config.seed, 5, day))
        days.append((drafts, fulfilment.decide(day, drafts, rng_of(config.seed, 6, day))))
    return days


def _all(played, of):
    return np.concatenate([of(drafts, fates) for drafts, fates in played])


def _failed(drafts, fates):
    late = np.bincount(fates.shipment_order, weights=fates.late, minlength=drafts.count) > 0
    return fates.cancelled | fates.returned | late


LABELS = {
    "fraud": (lambda drafts, _: drafts.p_fraud, lambda drafts, _: drafts.fraud),
    "failure": (lambda _, fates: fates.p_failure, _failed),
    "late": (lambda _, fates: fates.p_late, lambda _, fates: fates.late),
}


@pytest.mark.parametrize("name", LABELS)
def test_what_could_be_known_comes_true(played, name):
    """In every bin of p_knowable, the share of cases agrees; the allowance covers what cases share (a regime, an author)."""
    p, label = (_all(played, of) for of in LABELS[name])
    edges = np.unique(np.quantile(p, [0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 1]))
    which = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, len(edges) - 2)
    for k in range(len(edges) - 1):
        mean, rate, n = p[which == k].mean(), label[which == k].mean(), (which == k).sum()
        assert abs(mean - rate) < 4 * math.sqrt(mean * (1 - mean) / n) + 0.06 * min(mean, 1 - mean) + 0.002, (name, k, mean, rate, n)


@pytest.mark.parametrize("scene", Scene)
def test_every_scene_has_honest_and_dishonest_authors(played, scene):
    where = _all(played, lambda drafts, _: drafts.scene) == scene
    p, fraud = (_all(played, of)[where] for of in LABELS["fraud"])
    assert 0 < fraud.mean() < 0.75
    assert abs(p.mean() - fraud.mean()) < 0.05 * math.sqrt(0.05 / max(0.002, fraud.mean()) + 1)


def test_the_world_drifts(played):
    thirds = np.array_split(np.arange(len(played)), 3)
    first, last = ([played[day] for day in thirds[k]] for k in (0, 2))

    def share(part, scene):
        chosen = _all(part, lambda drafts, _: drafts.scene) == scene
        return _all(part, lambda drafts, _: drafts.fraud)[chosen].mean()

    assert share(first, Scene.CARD_TESTING) > share(last, Scene.CARD_TESTING)
    assert share(first, Scene.CHANGED_DEVICE) < share(last, Scene.CHANGED_DEVICE)
    by_month = [_all(played[k : k + 30], LABELS["failure"][1]).mean() for k in range(0, 300, 30)]
    assert max(by_month) > 1.25 * min(by_month)


def test_drafts_are_by_time_and_within_their_day(played):
    calendar, _, _ = make_setting(WorldConfig(60_000, 21))
    for day, (drafts, _) in enumerate(played):
        assert (np.diff(drafts.placed_at) >= 0).all()
        assert drafts.placed_at[0] >= calendar.start_of(day)
        assert drafts.placed_at[-1] < calendar.start_of(day + 1)


def test_bulky_and_chilled_goods_ship_from_nodes_that_can(played):
    _, _, catalogue = make_setting(WorldConfig(60_000, 21))
    for flag, able in ((catalogue.chilled, [n.chilled for n in NODES]), (catalogue.bulky, [n.bulky for n in NODES])):
        for drafts, fates in played[::30]:
            chosen = (drafts.skus >= 0) & flag[np.maximum(drafts.skus, 0)]
            assert np.array(able)[fates.node[chosen]].all()


def _mean_ratio(draw, n=200_000):
    """E[dishonest / honest] over honest draws must be 1 for a likelihood ratio of what is really drawn."""
    _, evidence = draw(np.random.default_rng(5), np.zeros(n, dtype=bool))
    return np.exp(evidence).mean()


@pytest.mark.parametrize("draw", [draw_declines, draw_launch_pieces])
def test_evidence_is_a_likelihood_ratio(draw):
    assert _mean_ratio(draw) == pytest.approx(1.0, abs=0.03)


def test_evidence_of_card_testing_is_a_likelihood_ratio():
    rng = np.random.default_rng(6)
    assert np.mean([math.exp(draw_testing(rng, fraud=False)[2]) for _ in range(40_000)]) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("scene", [Scene.SHARED_ADDRESS])
def test_evidence_of_a_family_of_accounts_sums_to_one(scene):
    honest, _ = goes_on = SIGNALS[scene].goes_on
    chances = [honest ** (k - 1) * ((1 - honest) if k < MAX_ORDERS else 1.0) for k in range(1, MAX_ORDERS + 1)]
    assert sum(chances) == pytest.approx(1.0)
    told = [chance * math.exp(family_evidence(k, goes_on)) for k, chance in enumerate(chances, start=1)]
    assert sum(told) == pytest.approx(1.0)


@given(st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)))
def test_evidence_of_a_flag_is_a_likelihood_ratio(chances):
    yes, no = np.exp(bernoulli_evidence(np.array([True, False]), chances))
    assert chances[0] * yes + (1 - chances[0]) * no == pytest.approx(1.0)


@given(st.floats(5.0, 90.0), st.floats(0.5, 1.0))
def test_evidence_of_an_age_is_a_likelihood_ratio(honest, share):
    ages = np.linspace(0.0, 40 * honest, 40_001)
    density = np.exp(-ages / honest) / honest * np.exp(age_evidence(ages, (honest, honest * share)))
    assert np.trapezoid(density, ages) == pytest.approx(1.0, abs=1e-3)


@given(st.lists(st.floats(0.01, 5.0), min_size=2, max_size=30))
def test_taste_is_a_likelihood_ratio(weights):
    honest = np.array(weights)
    _, evidence = taste_evidence(honest, np.linspace(10.0, 3000.0, len(honest)))
    assert (honest / honest.sum() * np.exp(evidence)).sum() == pytest.approx(1.0)


@given(st.floats(0.0, 1.0))
def test_night_density_is_one(extra):
    assert night_density(np.full(24, 1 / 24), extra).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("scene", Scene)
@given(progress=st.floats(0.0, 1.0))
def test_priors_stay_chances(scene, progress):
    assert 0.0 < prior_of(scene, progress) < 1.0


def test_without_news_regimes_rest():
    belief = RegimeFilter(40).belief(30)
    assert belief == pytest.approx(np.broadcast_to(REGIME_REST, belief.shape), abs=0.02)
    assert REGIME_STEP.sum(axis=1) == pytest.approx(1.0)
    np.testing.assert_allclose(REGIME_REST @ REGIME_STEP, REGIME_REST, atol=2e-3)


def test_bad_news_shift_the_belief_and_fade():
    news = RegimeFilter(60)
    told = np.log(np.array([[0.02, 0.3, 0.9]] * 6))
    news.learn(20, np.full(6, 1), np.zeros(6, dtype=np.int64), told)
    soon, later, elsewhere = news.belief(21)[1, 0, 2], news.belief(40)[1, 0, 2], news.belief(21)[0, 0, 2]
    assert soon > 0.5 > later > elsewhere


def test_singles_day_fills_the_nodes_and_outages_happen():
    config = WorldConfig(1_000, 3)
    calendar, network, _ = make_setting(config)
    sale = int(calendar.rush.argmax())
    assert network.backlog_days[sale + 1].mean() > network.backlog_days[sale].mean() + 0.5
    assert {0, 1, 2} == set(np.unique(network.status))
    assert make_network(config, calendar).backlog.tolist() == network.backlog.tolist()


def test_who_moves_and_who_steals_an_account_both_come_from_another_network(played):
    """Otherwise the network alone would tell them apart, and p_knowable would not be what can be known."""
    changed = _all(played, lambda drafts, _: drafts.scene) == Scene.CHANGED_DEVICE
    home = (_all(played, lambda drafts, _: drafts.ip) == _all(played, lambda drafts, _: drafts.account) + MOBILE_NETWORKS)[changed]
    fraud = _all(played, lambda drafts, _: drafts.fraud)[changed]
    assert home[fraud].sum() == home[~fraud].sum() == 0


def test_a_jammed_port_delays_imported_goods_and_nothing_else():
    config = WorldConfig(20_000, 3)
    calendar, network, catalogue = make_setting(config)
    people, plan = make_people(config, calendar, {})
    drafts = DayDrawer(calendar, catalogue, people, plan).draw(0, rng_of(config.seed, 5, 0))
    clear, jammed = (
        Fulfilment(calendar, catalogue, replace(network, port=np.full_like(network.port, days)), people).decide(0, drafts, rng_of(1, 1))
        for days in (0.0, 4.0)
    )
    imported = ((drafts.skus >= 0) & catalogue.imported[np.maximum(drafts.skus, 0)]).any(axis=1)
    assert imported.any()
    assert (jammed.p_failure[imported] > clear.p_failure[imported]).all()
    assert (jammed.p_failure[~imported] == clear.p_failure[~imported]).all()


def test_bargains_sell_and_come_back():
    config = WorldConfig(20_000, 3)
    calendar, network, catalogue = make_setting(config)
    people, plan = make_people(config, calendar, {})
    assert 0.01 < (catalogue.discount > 0).mean() < 0.2
    assert catalogue.discount.max() <= 0.4
    assert all((catalogue.discount[: day + 3, sku] == 0).all() for sku, day in enumerate(catalogue.launch_day) if day >= 0)
    drafts = DayDrawer(calendar, catalogue, people, plan).draw(0, rng_of(config.seed, 5, 0))
    dear, cheap = (
        Fulfilment(calendar, replace(catalogue, discount=np.full_like(catalogue.discount, off)), network, people).decide(
            0, drafts, rng_of(1, 1)
        )
        for off in (0.0, 0.3)
    )
    assert cheap.p_failure.mean() > dear.p_failure.mean()
    cheaper = replace(catalogue, discount=np.full_like(catalogue.discount, 0.3)).price_on(0)
    assert (cheaper < catalogue.price_cents).all()
    assert (cheaper > 0).all()


@given(st.integers(0, 20_000_000))
def test_next_door_is_another_street_address_that_looks_alike(serial):
    here = street(serial)
    assert here == street(serial)
    assert next_door(here) != here
    assert next_door(here).split("room")[0].split("Rm")[0] == here.split("room")[0]


def test_the_south_changes_its_carrier():
    assert carrier(2, 0, 0) != carrier(2, 0, 1)
    assert carrier(0, 0, 0) == carrier(0, 0, 1)


@given(st.integers(0, 9_999_990), st.integers(0, 9_999_990))
def test_identifiers_are_distinct(one, other):
    assert (public_id("C", one) == public_id("C", other)) == (one == other)
