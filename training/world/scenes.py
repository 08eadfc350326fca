"""Honest and dishonest customers: the scenes an order can belong to, and what each signal says about fraud.

A scene is a *visible* pattern, such as "an account with a history orders from a device and to an address that nobody has seen". Each scene
has honest and dishonest authors. Who the author is decides how the signals are drawn; since every signal's probability under both is
known here, the probability of fraud given all that is visible follows exactly by Bayes' rule and is not estimated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from training.world.values import Bools, Floats, Ints


class Scene(IntEnum):
    """Visible patterns."""

    ORDINARY = 0
    NEW_ACCOUNT = 1
    CARD_TESTING = 2
    CHANGED_DEVICE = 3
    SHARED_ADDRESS = 4
    LAUNCH = 5


@dataclass(frozen=True, slots=True)
class Signals:
    """How the signals of one scene are drawn: pairs (honest, dishonest) of probabilities or means.

    Attributes:
        prior: share of dishonest authors on the first and on the last day; it drifts linearly between them, by author, not by order.
        goes_on: probability that the author places one more order.
        gap_s: mean seconds between two orders of one author.
        age_d: mean age of the accounts in days; ``None`` where the author uses an account with a history.
        same_device: probability that an order comes from the author's device.
        mismatch: probability that the billing address differs.
        express: probability of express.
        night: extra probability of being placed between one and five at night.
    """

    prior: tuple[float, float]
    goes_on: tuple[float, float] = (0.0, 0.0)
    gap_s: float = 300.0
    age_d: tuple[float, float] | None = None
    same_device: tuple[float, float] | None = None
    mismatch: tuple[float, float] = (0.06, 0.24)
    express: tuple[float, float] = (0.22, 0.45)
    night: tuple[float, float] = (0.0, 0.0)


SIGNALS: dict[Scene, Signals] = {
    Scene.ORDINARY: Signals((0.0060, 0.0050), night=(0.0, 0.18)),
    Scene.NEW_ACCOUNT: Signals((0.024, 0.018)),
    Scene.CARD_TESTING: Signals((0.64, 0.34), (0.32, 0.50), 240.0, (24.0, 8.0), (0.60, 0.80), (0.10, 0.30)),
    Scene.CHANGED_DEVICE: Signals((0.12, 0.30), mismatch=(0.10, 0.28), express=(0.20, 0.45), night=(0.0, 0.20)),
    Scene.SHARED_ADDRESS: Signals((0.24, 0.22), (0.55, 0.70), 9000.0, (30.0, 12.0), (0.15, 0.40), (0.08, 0.25)),
    Scene.LAUNCH: Signals((0.10, 0.15), (0.15, 0.55), 90.0, (60.0, 20.0), (0.20, 0.55), express=(0.40, 0.55)),
}
"""The mix drifts: card testing fades, stolen accounts and hoarders grow."""

MAX_ORDERS = 8
"""An author places at most this many orders in one scene."""
NEAR = (0.20, 0.50)
"""How often a billing address that differs looks like the delivery address: a neighbour or a typo, or a card whose address is to be matched."""
PRICE_TASTE = 0.55
"""Dishonest authors choose what resells: a SKU's chance grows with price to this power."""
NIGHT_HOURS = (1, 2, 3, 4)

_DECLINES = (np.array([0.962, 0.026, 0.012]), np.array([0.80, 0.11, 0.09]))
_TESTING_MEAN = (1.4, 2.8)
_TESTING_FIRST, _TESTING_MAX = 3, 14
_FOREIGN_TOKEN = (0.55, 0.78)
_PIECES = (np.array([0.70, 0.18, 0.07, 0.03, 0.02]), np.array([0.36, 0.22, 0.16, 0.11, 0.07, 0.05, 0.03]))


def prior_of(scene: Scene, progress: float) -> float:
    """Share of dishonest authors of a scene when ``progress`` of the world's time has gone."""
    first, last = SIGNALS[scene].prior
    return first + (last - first) * progress


def logit(p: float) -> float:
    """Log-odds."""
    return math.log(p / (1.0 - p))


def pair(values: tuple[float, float], fraud: Bools) -> Floats:
    """For each order the honest or the dishonest one of two numbers."""
    return np.where(fraud, values[1], values[0])


def bernoulli_evidence(happened: Bools, chances: tuple[float, float]) -> Floats:
    """Log likelihood ratio, dishonest to honest, of something that happened or did not."""
    honest, dishonest = chances
    if honest == dishonest:
        return np.zeros(len(happened))
    return np.where(happened, math.log(dishonest / honest), math.log((1 - dishonest) / (1 - honest)))


def age_evidence(age_d: Floats, means: tuple[float, float]) -> Floats:
    """Log likelihood ratio of an account's age, exponential under both."""
    honest, dishonest = means
    return np.asarray(math.log(honest / dishonest) + age_d * (1.0 / honest - 1.0 / dishonest), dtype=np.float64)


def order_count_evidence(member: Ints, goes_on: tuple[float, float]) -> Floats:
    """Log likelihood ratio of an author having come to order number ``member`` (from 0)."""
    if goes_on[0] == 0.0:
        return np.zeros(len(member))
    return np.asarray(member * math.log(goes_on[1] / goes_on[0]), dtype=np.float64)


def family_evidence(accounts: int, goes_on: tuple[float, float]) -> float:
    """Log likelihood ratio of exactly ``accounts`` accounts of one author, which are all visible before the first order."""
    honest, dishonest = goes_on
    ends = 0.0 if accounts == MAX_ORDERS else math.log((1 - dishonest) / (1 - honest))
    return (accounts - 1) * math.log(dishonest / honest) + ends


def draw_declines(rng: np.random.Generator, fraud: Bools) -> tuple[Ints, Floats]:
    """Declined payments just before an order, and what they say."""
    cumulative = np.stack([np.cumsum(p) for p in _DECLINES])[fraud.astype(np.int64)]
    count = (rng.random(len(fraud))[:, None] > cumulative[:, :-1]).sum(axis=1).astype(np.int64)
    return count, np.log(_DECLINES[1] / _DECLINES[0])[count]


def draw_testing(rng: np.random.Generator, fraud: bool) -> tuple[int, int, float]:
    """A burst of declined cards before the first order.

    Honest ones happen on a tablet that many share, when the payment provider stutters.

    Returns:
        how many declines, how many of them with a card of somebody else, and the log likelihood ratio of both.
    """
    count = int(min(_TESTING_FIRST + rng.poisson(_TESTING_MEAN[fraud]), _TESTING_MAX))
    foreign = int(rng.binomial(count, _FOREIGN_TOKEN[fraud]))
    extra, limit = count - _TESTING_FIRST, _TESTING_MAX - _TESTING_FIRST
    chances = [_poisson_tail(extra, mean) if extra == limit else _poisson(extra, mean) for mean in _TESTING_MEAN]
    honest, dishonest = _FOREIGN_TOKEN
    evidence = math.log(chances[1] / chances[0]) + foreign * math.log(dishonest / honest)
    return count, foreign, evidence + (count - foreign) * math.log((1 - dishonest) / (1 - honest))


def _poisson(k: int, mean: float) -> float:
    return math.exp(-mean) * mean**k / math.factorial(k)


def _poisson_tail(k: int, mean: float) -> float:
    return max(1e-12, 1.0 - sum(_poisson(i, mean) for i in range(k)))


def draw_launch_pieces(rng: np.random.Generator, fraud: Bools) -> tuple[Ints, Floats]:
    """Pieces of a limited SKU in one order, and what they say: hoarders take more."""
    honest, dishonest = (np.pad(p, (0, 7 - len(p))) for p in _PIECES)
    honest = 0.995 * honest + 0.005 / 7
    cumulative = np.stack([np.cumsum(honest), np.cumsum(dishonest)])[fraud.astype(np.int64)]
    index = (rng.random(len(fraud))[:, None] > cumulative[:, :-1]).sum(axis=1).astype(np.int64)
    return index + 1, np.log(dishonest / honest)[index]


def night_density(hours: Floats, extra: float) -> Floats:
    """The hours of a day under ``hours`` with an extra share at night; 24 values that sum to 1."""
    night = np.zeros(24)
    night[list(NIGHT_HOURS)] = 1.0 / len(NIGHT_HOURS)
    return np.asarray((1.0 - extra) * hours + extra * night, dtype=np.float64)


def taste_evidence(weights: Floats, price: Floats) -> tuple[Floats, Floats]:
    """How dishonest authors choose among SKUs.

    Args:
        weights: the honest weights, (skus,).
        price: prices, (skus,).

    Returns:
        the dishonest weights, and each SKU's log likelihood ratio; both (skus,).
    """
    lure = price**PRICE_TASTE
    return weights * lure, np.log(lure / ((weights * lure).sum() / weights.sum()))
