"""Rule: what is shown of a scaled integer is exact, whatever its size and scale."""

from __future__ import annotations

import re
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.domain.decimals import decimal_text


@given(st.integers(-(10**60), 10**60), st.integers(0, 30))
def test_decimals_are_exact(value: int, decimals: int) -> None:
    text = decimal_text(value, decimals)
    assert text is not None
    assert re.fullmatch(r"-?\d+(\.\d*[1-9])?", text)
    sign, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)
    unscaled = int("".join(map(str, digits))) * 10 ** (exponent + decimals)
    assert (-unscaled if sign else unscaled) == value
