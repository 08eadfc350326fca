"""The handbook's protocol: a week to learn from, a week in which nobody knows its frauds yet, a week to be judged on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from training.handbook.transactions import Transactions
from training.table import Floats, Integers

WEEK = 7
"""Days to learn from, days until a fraud is known, days to be judged on."""

LEARN_FROM = date(2018, 7, 25)
"""First day of the published comparison's training week; it is judged on 8 to 14 August."""

TUNE_FROM = (date(2018, 7, 4), date(2018, 7, 11))
"""First days of the training weeks of earlier rounds, on which configurations are chosen: judged on 18 to 24 and on 25 to 31 July."""

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Round:
    """Rows of one round of the protocol, as indexes into the transactions.

    Attributes:
        learn: the week to learn from.
        judge: the week to be judged on, without customers who were known to be defrauded by then.
    """

    learn: Integers
    judge: Integers


def round_from(transactions: Transactions, first: date) -> Round:
    """The round whose training week begins at ``first``.

    On each judged day a customer counts as known to be defrauded who was so during the training week, or between it and a week before
    that day: nobody needs a model to stop that card.
    """
    start = (first - _EPOCH).days
    day, fraud = transactions.day, transactions.fraud == 1
    judged = []
    for current in range(start + 2 * WEEK, start + 3 * WEEK):
        defrauded = transactions.customer[fraud & (day >= start) & (day < current - WEEK)]
        judged.append(np.flatnonzero((day == current) & ~np.isin(transactions.customer, defrauded)))
    return Round(np.flatnonzero((day >= start) & (day < start + WEEK)), np.concatenate(judged))


def span(first: date) -> tuple[tuple[date, date], tuple[date, date]]:
    """First and last day of the training week and of the judged week."""
    days = [first + timedelta(days=offset) for offset in (0, WEEK - 1, 2 * WEEK, 3 * WEEK - 1)]
    return (days[0], days[1]), (days[2], days[3])


def card_precision(score: Floats, fraud: NDArray[np.bool_], card: Integers, day: Integers, top: int = 100) -> float:
    """Share of defrauded cards among the ``top`` that look worst each day, as a mean over the days.

    A card's score on a day is that of its worst transaction; it is defrauded when any transaction of that day is. A defrauded card that is
    found on one day is not looked at again. Of equal scores the card with the lower number comes first.

    Args:
        score: float64 (n,), higher is worse.
        fraud: bool (n,).
        card: int64 (n,).
        day: int64 (n,).
        top: how many cards are looked at each day.
    """
    found: set[int] = set()
    precision = []
    for current in np.unique(day):
        rows = np.flatnonzero((day == current) & ~np.isin(card, list(found)))
        cards, which = np.unique(card[rows], return_inverse=True)
        worst = np.full(len(cards), -np.inf)
        np.maximum.at(worst, which, score[rows])
        defrauded = np.zeros(len(cards), dtype=bool)
        np.logical_or.at(defrauded, which, fraud[rows])
        looked_at = np.argsort(-worst, kind="stable")[:top]
        caught = cards[looked_at][defrauded[looked_at]]
        found.update(caught.tolist())
        precision.append(len(caught) / top)
    return float(np.mean(precision))
