"""How far two places are apart."""

from __future__ import annotations

import math

_EARTH_KM = 6371.0


def km(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """Great-circle distance of two places, given in degrees."""
    a, b = math.radians(lat), math.radians(other_lat)
    half = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(other_lon - lon) / 2) ** 2
    return 2 * _EARTH_KM * math.asin(math.sqrt(min(1.0, half)))
