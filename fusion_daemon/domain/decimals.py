"""Numbers as decimal text that loses nothing: what people and programs outside are shown."""

from __future__ import annotations

from decimal import Decimal
from typing import overload

WAD_DECIMALS = 18
"""Of a health factor."""


@overload
def decimal_text(value: int, decimals: int) -> str: ...


@overload
def decimal_text(value: int | None, decimals: int) -> str | None: ...


def decimal_text(value: int | None, decimals: int) -> str | None:
    """An integer scaled by 10^decimals, exact and without trailing zeros: (1250, 3) is "1.25"; None stays None."""
    if value is None:
        return None
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), 10**decimals)
    digits = f"{fraction:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def float_text(value: float) -> str:
    """The shortest decimal that reads back as exactly this double, without an exponent: 2e-05 is "0.00002"."""
    return format(Decimal(repr(float(value))), "f")
