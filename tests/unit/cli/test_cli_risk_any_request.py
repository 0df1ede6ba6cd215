"""Rule: whatever JSON a stateless call is sent, it answers or refuses by name; nothing else ever comes out of it, and
every number of an answer is a finite decimal."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.risk.request_body import Invalid, NotJson
from fusion_daemon.risk.stateless import STATELESS

Drawn = st.SearchStrategy[object]

ODD = st.sampled_from(("0", "-1", "1e-30", "1e400", "-1e200", "1e101", "-0.99999999999999999999", "NaN", "Infinity"))
NAMES = st.sampled_from(("ETH", "BTC", "USDC"))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | ODD | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
LEG: dict[str, Drawn] = {
    "scaled": st.sampled_from(("1", "8000000000", "9" * 77, "0")),
    "decimals": st.sampled_from((0, 6, 18, 36)),
    "price": st.sampled_from(("1", "100000000", "9" * 22)),
}
HELD = st.fixed_dictionaries(
    LEG | {"asset": st.just("ETH"), "liquidation_threshold_bps": st.just(8250), "ltv_bps": st.just(0)}
)
OWED = st.fixed_dictionaries(LEG | {"asset": st.sampled_from(("USDC", "DOGE"))})
SHOCKS = st.sampled_from(("-0.5", "3", "-1", "-1.5", "NaN", "1e-19", "-0.999999999999999999"))
SCENARIOS = st.sampled_from(
    (
        "grid",
        "crash",
        "depeg:stETH",
        "correlation:one",
        "halt:1",
        "halt:2",
        "lag:collateral:1",
        "lag:debt:1",
        "lag:debt:²",
    )
) | st.fixed_dictionaries({"name": st.just("own"), "shocks": st.dictionaries(NAMES, SHOCKS, min_size=1, max_size=2)})


def series(least: int) -> Drawn:
    """Of three assets, equally long, with one odd number among the ordinary ones or none."""

    def of(length: int) -> Drawn:
        ordinary = st.lists(st.integers(1, 9).map(str), min_size=length, max_size=length)
        odd = st.tuples(ordinary, st.integers(0, length - 1), ODD).map(
            lambda drawn: [*drawn[0][: drawn[1]], drawn[2], *drawn[0][drawn[1] + 1 :]]
        )
        return st.fixed_dictionaries({"ETH": ordinary | odd, "BTC": ordinary, "USD": st.just(["7"] * length)})

    return st.integers(least, 4).flatmap(of)


CALLS: Mapping[str, Mapping[str, Drawn]] = {
    "stress": {
        "rules": st.sampled_from(("aave_v3_5", "aave_v3_0", "compound_v3", "morpho_blue")),
        "collateral": st.tuples(HELD),
        "debt": st.tuples(OWED),
        "scenarios": st.lists(SCENARIOS, min_size=1, max_size=2),
        "price_history": st.just({"ETH": ["5"], "USDC": ["1"], "DOGE": ["9" * 78]}),
        "chains": st.just({"1": {"collateral": [0]}, "2": {"debt": [1]}}),
    },
    "correlation": {
        "returns": series(2),
        "method": st.sampled_from(("pearson", "spearman", "ewma")),
        "lambda": st.just("0.9") | ODD,
    },
    "performance": {
        "values": series(3),
        "benchmark": st.just(["1", "2", "1"]) | st.just(["1", "1e400", "1"]),
        "returns": st.sampled_from(("simple", "log")),
        "ddof": st.sampled_from((0, 1)),
        "steps_per_year": st.sampled_from((1, 365, 600_000)),
        "risk_free": st.just("0") | ODD,
    },
}
NEEDED = ("collateral", "debt", "scenarios", "returns", "values")


@pytest.mark.parametrize("name", CALLS)
@given(st.data())
def test_a_call_answers_or_refuses(name: str, data: st.DataObject) -> None:
    fields = CALLS[name]
    request = {
        field: data.draw(values, label=field)
        for field, values in fields.items()
        if field in NEEDED or data.draw(st.booleans(), label=f"with {field}")
    }
    if data.draw(st.integers(0, 7)) == 0:
        request[data.draw(st.sampled_from((*fields, "surprise")))] = data.draw(ANYTHING)
    (call,) = (each for each in STATELESS if each.name == name)
    try:
        told = msgspec.json.encode(call.answer(json.dumps(request).encode())).lower()
    except (Invalid, NotJson):
        return
    assert b'"nan"' not in told
    assert b"infinity" not in told
