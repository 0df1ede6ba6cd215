"""Where a condition on the integers changes, starting from a guess: exact, and soon when the guess is good."""

from __future__ import annotations

from collections.abc import Callable

_REACH = 280
"""Doublings. A condition that has not changed at 2^280 times the guess does not change: no rounding
of 36 decimals of an asset and 36 of its price hides it that far."""


def last_before_change(holds: Callable[[int], bool], near: int, lowest: int) -> int | None:
    """An n >= lowest at which `holds` and at n + 1 does not; None if it does not hold at `lowest`, or never fails.

    A condition that changes once has one such n; of several, this finds one that lies close to `near`.
    """
    if not holds(lowest):
        return None
    low = high = max(near, lowest)
    stride = 1
    if holds(low):
        farthest = (high + 1) << _REACH
        while holds(high := low + stride):
            if high > farthest:
                return None
            low = high
            stride *= 2
    else:
        while not holds(low := max(high - stride, lowest)):
            high = low
            stride *= 2
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


def first_that_holds(holds: Callable[[int], bool], near: int) -> int | None:
    """An n >= 0 at which `holds` and, above 0, at n - 1 does not; None if it never does."""
    if holds(0):
        return 0
    before = last_before_change(lambda n: not holds(n), near - 1, 0)
    return None if before is None else before + 1
