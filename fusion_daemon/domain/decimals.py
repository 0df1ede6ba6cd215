"""Scaled integers as exact decimal text: what people and programs outside are shown."""

from __future__ import annotations

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
