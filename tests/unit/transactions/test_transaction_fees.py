"""Laws of what is offered for gas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.transactions.fees import LEAST_TIP, Fees, Market, better_offer, first_offer, market_of

MARKETS = st.builds(Market, st.integers(0, 10**13), st.integers(LEAST_TIP, 10**12))
CAPS = st.integers(1, 10**14)


@given(MARKETS, CAPS)
def test_a_first_offer_keeps_the_cap_and_pays_for_the_next_block(market: Market, cap: int) -> None:
    offer = first_offer(market, cap)
    if offer is None:
        assert cap < market.base_fee + LEAST_TIP
    else:
        assert market.base_fee + offer.tip <= offer.most <= cap
        assert offer.tip >= LEAST_TIP


@given(MARKETS, MARKETS, CAPS)
def test_a_better_offer_is_an_eighth_more_of_both_or_none(first: Market, then: Market, cap: int) -> None:
    before = first_offer(first, cap)
    if before is None:
        return
    better = better_offer(before, then, cap)
    if better is None:
        assert before.most * 9 > (cap - 1) * 8
    else:
        assert better.most * 8 >= before.most * 9
        assert better.tip * 8 >= before.tip * 9
        assert better.tip <= better.most <= cap


def test_a_market_is_the_next_base_fee_and_the_median_of_what_was_tipped() -> None:
    assert market_of([5, 7, 9], [0, 3 * LEAST_TIP, 2 * LEAST_TIP, 9 * LEAST_TIP]) == Market(9, 3 * LEAST_TIP)
    assert market_of([9], []) == Market(9, LEAST_TIP)
    with pytest.raises(ValueError, match="without a base fee"):
        market_of([], [])


def test_offers_rise_even_from_nothing() -> None:
    assert better_offer(Fees(1, 0), Market(0, LEAST_TIP), 10**9) == Fees(LEAST_TIP, LEAST_TIP)
