"""The handbook's features come out of our definitions, and its comparison out of our pipeline.

The reference is the handbook's own definition in plain pandas: rolling windows over datetimes that end with the transaction itself; windows
over frauds as the difference of two that reach back over the delay.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.calendar import LOCAL_OFFSET
from feature_store.events import Event, EventType, event_to_json, parse_event
from feature_store.offline import Archive, Request, training_set
from feature_store.order import Order
from feature_store.times import DAY
from feature_store.views.cards import CARDS, OWN
from feature_store.views.definition import FeatureService
from training.handbook.comparison import BEST_PUBLISHED, PUBLISHED, compare
from training.handbook.features import HANDBOOK_NAMES, features_of, service_of
from training.handbook.protocol import LEARN_FROM, TUNE_FROM, card_precision, round_from, span
from training.handbook.transactions import LABEL_DELAY, HandbookMissing, Transactions, read_transactions, stream
from training.table import Floats, Integers
from training.tuning import FINE_LADDER

DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "fraud_handbook"
SECOND = 1000
ROUNDING = 1e-15
"""Of a mean amount, as a share: the last digit of a float64. Everything else is equal to the last bit."""

needs_data = pytest.mark.skipif(not DATA.exists(), reason="the handbook's transactions are not beside the checkout")


def reference(transactions: Transactions) -> pd.DataFrame:
    """The fifteen features by their names in the handbook."""
    frame = pd.DataFrame({name: getattr(transactions, name) for name in ("ids", "customer", "terminal", "cents", "fraud")})
    frame["at"] = pd.to_datetime(transactions.time + LOCAL_OFFSET, unit="ms")
    frame["one"] = 1

    def rolled(by: str, column: str, days: int) -> pd.Series:
        ordered = frame.sort_values([by, "ids"])
        sums = ordered.groupby(by).rolling(f"{days}D", on="at")[column].sum()
        return pd.Series(sums.to_numpy(), index=ordered.index).reindex(frame.index)

    found = {
        "TX_AMOUNT": frame["cents"] / 100,
        "TX_DURING_WEEKEND": (frame["at"].dt.day_of_week >= 5).astype(float),
        "TX_DURING_NIGHT": (frame["at"].dt.hour <= 6).astype(float),
    }
    delayed, frauds_delayed = rolled("terminal", "one", 7), rolled("terminal", "fraud", 7)
    for days in (1, 7, 30):
        number = rolled("customer", "one", days)
        found[f"CUSTOMER_ID_NB_TX_{days}DAY_WINDOW"] = number
        found[f"CUSTOMER_ID_AVG_AMOUNT_{days}DAY_WINDOW"] = rolled("customer", "cents", days) / 100 / number
        number = rolled("terminal", "one", 7 + days) - delayed
        frauds = rolled("terminal", "fraud", 7 + days) - frauds_delayed
        found[f"TERMINAL_ID_NB_TX_{days}DAY_WINDOW"] = number
        found[f"TERMINAL_ID_RISK_{days}DAY_WINDOW"] = (frauds / number).fillna(0)
    return pd.DataFrame(found)


def check_equal(transactions: Transactions, ours: Floats | None = None) -> None:
    ours = features_of(transactions, service_of(CARDS)) if ours is None else ours
    theirs = reference(transactions)
    for column, name in enumerate(HANDBOOK_NAMES):
        expected = theirs[name].to_numpy(dtype=np.float64)
        if "AVG_AMOUNT" in name:
            np.testing.assert_allclose(ours[:, column], expected, rtol=ROUNDING, atol=0, err_msg=name)
        else:
            np.testing.assert_array_equal(ours[:, column], expected, err_msg=name)


def some(transactions: Transactions) -> Transactions:
    """All that some customers and some terminals did in all weeks."""
    rows = (transactions.customer < 20) | (transactions.terminal < 60)
    return Transactions(*(getattr(transactions, name)[rows] for name in Transactions.__dataclass_fields__))


@st.composite
def any_transactions(draw: st.DrawFn) -> Transactions:
    """Few customers and terminals, so that windows fill; many at the same second, and exactly as far apart as a window is long."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows, step = draw(st.integers(1, 120)), draw(st.sampled_from([SECOND, DAY // 24, DAY, 7 * DAY]))
    jitter = draw(st.sampled_from([1, 3]))
    start = 1_528_000_000_000
    time = np.sort(start + rng.integers(0, 60 * DAY // step, rows) * step + rng.integers(0, jitter, rows) * SECOND)
    return Transactions(
        np.arange(rows) + draw(st.sampled_from([0, 95, 728_755])),
        time,
        rng.integers(0, 3, rows),
        rng.integers(0, 3, rows),
        rng.integers(0, 100_000, rows),
        rng.integers(0, 2, rows),
    )


@settings(deadline=None, max_examples=20)
@given(any_transactions())
def test_features_equal_the_handbooks_definitions(transactions: Transactions) -> None:
    check_equal(transactions)


def test_a_transaction_sees_those_before_it_in_its_second_and_a_fraud_from_the_second_a_week_later() -> None:
    at = 1_528_000_000_000
    transactions = Transactions(
        np.arange(5),
        np.array([at, at, at + 7 * DAY - SECOND, at + 7 * DAY, at + 7 * DAY]),
        np.full(5, 1),
        np.full(5, 8),
        np.full(5, 250),
        np.array([0, 1, 0, 0, 0]),
    )
    names = dict(zip(HANDBOOK_NAMES, features_of(transactions, service_of(CARDS)).T, strict=True))
    assert names["CUSTOMER_ID_NB_TX_1DAY_WINDOW"].tolist() == [1, 2, 1, 2, 3]
    assert names["CUSTOMER_ID_NB_TX_7DAY_WINDOW"].tolist() == [1, 2, 3, 2, 3], "a payment of exactly a week ago is over"
    assert names["TERMINAL_ID_NB_TX_1DAY_WINDOW"].tolist() == [0, 0, 0, 2, 2]
    assert names["TERMINAL_ID_RISK_1DAY_WINDOW"].tolist() == [0, 0, 0, 0.5, 0.5]


@settings(deadline=None, max_examples=20)
@given(any_transactions())
def test_what_is_told_is_of_the_vocabulary_and_in_the_order_in_which_it_is_known(transactions: Transactions) -> None:
    told = list(stream(transactions))
    events = [one for one in told if isinstance(one, Event)]
    assert [one.known_at for one in events] == sorted(one.known_at for one in events)
    assert len({one.event_id for one in events}) == len(events)
    assert sum(one.type is EventType.ORDER_PLACED for one in events) == len(told) - len(events) == len(transactions)
    for one in events:
        assert parse_event(event_to_json(one), received_at=one.known_at) == one
        if one.type is EventType.CHARGEBACK:
            assert one.known_at - one.event_time == LABEL_DELAY


def test_rows_can_be_chosen(transactions: Transactions) -> None:
    service = service_of((*CARDS, *OWN))
    rows = np.array([3, 17, 399])
    np.testing.assert_array_equal(features_of(transactions, service, rows), features_of(transactions, service)[rows])


@pytest.mark.slow
def test_training_sets_from_the_archive_hold_the_same_bits(transactions: Transactions, tmp_path: Path) -> None:
    service = service_of((*CARDS, *OWN))
    told = list(stream(transactions))
    archive = Archive(tmp_path)
    archive.add(one for one in told if isinstance(one, Event))
    orders = [one for one in told if isinstance(one, Order)]
    requests = [Request(int(at), order) for at, order in zip(transactions.arrival, orders, strict=True)]
    batches = list(training_set(archive, service.features, requests, temporary=tmp_path))
    assert np.concatenate([batch.row for batch in batches]).tolist() == list(range(len(transactions)))
    offline = np.concatenate([batch.values for batch in batches])
    assert offline.tobytes() == features_of(transactions, service).tobytes()


@pytest.fixture(scope="module")
def transactions() -> Transactions:
    """Twenty-one days with a few frauds a day."""
    rng = np.random.default_rng(3)
    rows = 400
    start = (LEARN_FROM - date(1970, 1, 1)).days * DAY - LOCAL_OFFSET
    time = np.sort(start + rng.integers(0, 21 * DAY // SECOND, rows) * SECOND)
    fraud = (rng.random(rows) < 0.1).astype(np.int64)
    return Transactions(np.arange(rows), time, rng.integers(0, 60, rows), rng.integers(0, 9, rows), rng.integers(1, 9999, rows), fraud)


def test_customers_known_to_be_defrauded_are_not_judged(transactions: Transactions) -> None:
    found = round_from(transactions, LEARN_FROM)
    day = transactions.day - transactions.day[0]
    assert found.learn.tolist() == np.flatnonzero(day < 7).tolist()
    for row in range(len(transactions)):
        history = (transactions.customer == transactions.customer[row]) & (transactions.fraud == 1) & (day + 7 < day[row])
        assert (row in found.judge) == (day[row] >= 14 and not history.any())
    assert 0 < len(found.judge) < (day >= 14).sum()


def test_configurations_are_chosen_before_the_judged_week() -> None:
    judged = span(LEARN_FROM)[1]
    assert [str(day) for day in (*span(LEARN_FROM)[0], *judged)] == ["2018-07-25", "2018-07-31", "2018-08-08", "2018-08-14"]
    for begin in TUNE_FROM:
        assert span(begin)[1][1] < judged[0]


def test_card_precision_looks_at_each_defrauded_card_once() -> None:
    #               day 1: card 1 has two payments, the worse one honest    day 2: card 1 was found; 3 is worst, 2 ties with 4
    card = np.array([1, 1, 2, 3, 1, 2, 3, 4])
    day = np.array([1, 1, 1, 1, 2, 2, 2, 2])
    score = np.array([0.9, 0.1, 0.8, 0.2, 1.0, 0.5, 0.6, 0.5])
    fraud = np.array([False, True, False, True, True, True, False, False])
    assert card_precision(score, fraud, card, day, top=1) == pytest.approx((1 + 0) / 2)
    assert card_precision(score, fraud, card, day, top=2) == pytest.approx((0.5 + 0.5) / 2)


def test_a_folder_without_the_transactions_is_told(tmp_path: Path) -> None:
    with pytest.raises(HandbookMissing, match="no Parquet file"):
        read_transactions(tmp_path)
    (tmp_path / "other.parquet").write_bytes(b"not Parquet at all")
    with pytest.raises(HandbookMissing, match="cannot be read"):
        read_transactions(tmp_path)


@needs_data
@pytest.mark.shared
def test_some_thousand_rows_equal_the_handbooks() -> None:
    chosen = some(read_transactions(DATA))
    assert 3_000 < len(chosen) < 8_000
    check_equal(chosen)


@pytest.fixture(scope="module")
def played() -> tuple[Transactions, Floats]:
    """All transactions, and all features of each: they are played once, which takes longer than all else."""
    transactions = read_transactions(DATA)
    return transactions, features_of(transactions, service_of((*CARDS, *OWN)))


@needs_data
@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_row_equals_the_handbooks(played: tuple[Transactions, Floats]) -> None:
    transactions, features = played
    assert len(transactions) == 575_023
    assert transactions.fraud.sum() == 5_108
    check_equal(transactions, features[:, : len(CARDS)])


@needs_data
@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_our_pipeline_reaches_the_published_baselines(played: tuple[Transactions, Floats]) -> None:
    def known(_: Transactions, service: FeatureService, rows: Integers) -> Floats:
        assert service.names == service_of((*CARDS, *OWN)).names
        return played[1][rows]

    found = compare(played[0], play=known)
    assert (found.learnt, found.learnt_frauds, found.judged, found.judged_frauds) == (67_240, 598, 58_264, 385)
    for result in found.results:
        assert len(result.model.trials) == len(FINE_LADDER)
        assert result.figures.auc >= BEST_PUBLISHED.auc
        assert result.figures.average_precision >= BEST_PUBLISHED.average_precision
        assert result.figures.card_precision >= BEST_PUBLISHED.card_precision
    assert sum(line.startswith("published") for line in found.lines()) == len(PUBLISHED)
