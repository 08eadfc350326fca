"""The features of every transaction, by the code that answers requests: events change the states as they become known, a request reads them."""

from __future__ import annotations

import numpy as np

from feature_store.entities import EntityKey
from feature_store.events import Event
from feature_store.folding import apply
from feature_store.state import EntityState
from feature_store.views import snapshot_of
from feature_store.views.cards import CARDS
from feature_store.views.definition import Feature, FeatureService
from training.handbook.transactions import Transactions, stream
from training.history import collector_resting
from training.table import Floats, Integers

HANDBOOK_NAMES = (
    "TX_AMOUNT", "TX_DURING_WEEKEND", "TX_DURING_NIGHT",
    "CUSTOMER_ID_NB_TX_1DAY_WINDOW", "CUSTOMER_ID_AVG_AMOUNT_1DAY_WINDOW",
    "CUSTOMER_ID_NB_TX_7DAY_WINDOW", "CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW",
    "CUSTOMER_ID_NB_TX_30DAY_WINDOW", "CUSTOMER_ID_AVG_AMOUNT_30DAY_WINDOW",
    "TERMINAL_ID_NB_TX_1DAY_WINDOW", "TERMINAL_ID_RISK_1DAY_WINDOW",
    "TERMINAL_ID_NB_TX_7DAY_WINDOW", "TERMINAL_ID_RISK_7DAY_WINDOW",
    "TERMINAL_ID_NB_TX_30DAY_WINDOW", "TERMINAL_ID_RISK_30DAY_WINDOW",
)  # fmt: skip
"""The handbook's names of :data:`~feature_store.views.cards.CARDS`, in the same order."""


def features_of(transactions: Transactions, service: FeatureService, rows: Integers | None = None) -> Floats:
    """Play the transactions through the online code.

    Args:
        transactions: all of them, from the beginning.
        service: what to compute.
        rows: indexes of the transactions to compute it for; all by default.

    Returns:
        float64 (rows, features), in the order of ``rows``, which is that of time.
    """
    wanted = np.ones(len(transactions), dtype=bool)
    if rows is not None:
        wanted[:] = False
        wanted[rows] = True
    values = np.empty((int(wanted.sum()), len(service.names)))
    states: dict[EntityKey, EntityState] = {}
    row = filled = 0
    arrival = transactions.arrival.tolist()
    with collector_resting():
        for told in stream(transactions):
            if isinstance(told, Event):
                apply(states, told)
                continue
            if wanted[row]:
                values[filled] = snapshot_of(service, told, states, arrival[row]).values
                filled += 1
            row += 1
    return values


def service_of(features: tuple[Feature, ...]) -> FeatureService:
    """The features as what a decision type ``card-fraud`` would get."""
    return FeatureService("card-fraud", features)


CARD_SERVICE = service_of(CARDS)
