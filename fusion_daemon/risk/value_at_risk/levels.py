"""A confidence level as an exact rational. In binary floating point (1 - 0.9) x 10 is below 1 and
(1 - 0.95) x 20 above it, so a float decides by accident whether one more day belongs to the tail."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from fusion_daemon.risk.request_body import invalid


def level_of(text: Decimal, name: str = "level") -> Fraction:
    """Strictly between 0 and 1. Raises Invalid."""
    if not text.is_finite() or not 0 < text < 1:
        raise invalid(f"`{name}` is {text}.", "Send a decimal strictly between 0 and 1, such as 0.99.")
    if text.as_tuple().exponent < -_MOST_DIGITS:  # type: ignore[operator]  # finite: its exponent is a number
        raise invalid(f"`{name}` has more than {_MOST_DIGITS} decimals.", "Send fewer.")
    return Fraction(text)


_MOST_DIGITS = 18
"""Decimals of a level. A thousand of them would make every count a computation with numbers as long."""


def tail_count(level: Fraction, n: int) -> int:
    """How many of n losses reach into the tail: ceil(a n), at least 1."""
    return ceil((1 - level) * n)


def tail_parts(level: Fraction, n: int) -> tuple[int, Fraction]:
    """a n as its whole and its fraction: the losses that lie in the tail whole, and the share of the next one."""
    size = (1 - level) * n
    return floor(size), size - floor(size)


def exact_text(value: Fraction) -> str:
    """A rational whose denominator divides a power of ten, as the decimal that it is."""
    shift, denominator = 0, value.denominator
    while 10**shift % denominator:
        shift += 1
    return format(Decimal(value.numerator * (10**shift // denominator)).scaleb(-shift), "f")
