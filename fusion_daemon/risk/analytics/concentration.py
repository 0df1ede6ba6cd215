"""How many things a portfolio really consists of. Shares are of the gross value: a debt counts by its size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusion_daemon.risk.value_at_risk.figures import Floats


@dataclass(frozen=True, slots=True)
class Concentration:
    shares: Floats
    herfindahl: float
    """The sum of the squared shares: 1 / n when n are equal, 1 when there is one."""
    effective: float
    """1 / herfindahl: so many equal ones are as concentrated."""
    largest: int
    """Its place; the first of equal ones."""


def concentration(values: Floats) -> Concentration | None:
    """None when all are 0."""
    gross = np.abs(values)
    if not gross.any():
        return None
    shares = gross / gross.max()
    shares = shares / shares.sum()
    herfindahl = float(shares @ shares)
    return Concentration(shares, herfindahl, 1 / herfindahl, int(np.argmax(shares)))
