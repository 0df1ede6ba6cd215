"""Range size as data: what providers say, what it does to the size, and that it always makes progress."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.chain.ranges import (
    BlockTooDense,
    ExactRange,
    RangeSize,
    Refusal,
    StructuralCap,
    TooDense,
    classify,
    first_size,
)

CATALOGUE: tuple[tuple[str, int, str, Refusal | None], ...] = (
    (
        "Alchemy",
        -32602,
        "Log response size exceeded. Based on your parameters, this block range should work: [0x64, 0xc8]",
        ExactRange(100, 200),
    ),
    ("Alchemy free", -32600, "requests with up to a 10 block range", StructuralCap(10)),
    ("Alchemy, inverted", -32602, "this block range should work: [0xc8, 0x64]", None),
    ("Alchemy, inverted and dense", -32602, "Log response size exceeded, try [0xc8, 0x64]", TooDense()),
    (
        "Infura",
        -32005,
        "query returned more than 10000 results. Try with this block range [0x64, 0xC8].",
        ExactRange(100, 200),
    ),
    ("Infura, no range", -32005, "query returned more than 10,000 results", TooDense()),
    ("Infura, slow", -32005, "query timeout exceeded", TooDense()),
    ("QuickNode", -32614, "eth_getLogs is limited to a 10,000 range", StructuralCap(10_000)),
    ("1RPC", -32614, "eth_getLogs is limited to a 10.000 range", StructuralCap(10_000)),
    ("BlockPI", -32602, "eth_getLogs is limited to 1024 block", StructuralCap(1_024)),
    ("Ankr", -32600, "block range is too wide", StructuralCap(0)),
    ("TAC", -32000, "maximum [from, to] blocks distance: 5000", StructuralCap(5_000)),
    (
        "Avalanche",
        -32000,
        "requested too many blocks from 1 to 9000, maximum is set to 2048",
        StructuralCap(2_048),
    ),
    ("dRPC", -32600, "ranges over 10000 blocks are not supported on freetier", StructuralCap(10_000)),
    ("Cloudflare", -32047, "Invalid eth_getLogs request. Max range: 800", StructuralCap(800)),
    ("Thirdweb", -32602, "Maximum allowed number of requested blocks is 3500", StructuralCap(3_500)),
    ("Blast", -32000, "exceeds the range allowed for your plan (9000 > 3000)", StructuralCap(3_000)),
    ("Chainstack", -32000, "Block range limit exceeded.", StructuralCap(0)),
    ("Coinbase", -32602, "please limit the query to at most 1000 blocks", StructuralCap(1_000)),
    ("PublicNode", -32701, "exceed maximum block range: 50000", StructuralCap(50_000)),
    ("BSC", -32000, "exceed maximum block range: 5000", StructuralCap(5_000)),
    ("Hyperliquid", -32602, "query exceeds max block range 1000", StructuralCap(1_000)),
    ("Tron", -32600, "exceed max block range: 5000", StructuralCap(5_000)),
    ("Sei", -32000, "block range too large (9000), maximum allowed is 2000 blocks", StructuralCap(2_000)),
    ("Swell", -32000, "block range greater than 1024 max", StructuralCap(1_024)),
    ("Somnia", -32000, "block range exceeds 1000", StructuralCap(1_000)),
    ("Moonriver", -32603, "block range is too wide (maximum 1024)", StructuralCap(1_024)),
    ("Harmony", -32000, "must be smaller than size 1024", StructuralCap(1_024)),
    ("Merkle", -32000, "max is 10k blocks", StructuralCap(10_000)),
    ("Llama", -32000, "query exceeds max results 20000, retry with the range 100-200", ExactRange(100, 200)),
    ("Optimism", -32000, "Block range is too large", StructuralCap(0)),
    ("Optimism", -32020, "backend response too large", TooDense()),
    ("Base", -32000, "block range too large", StructuralCap(0)),
    ("Arbitrum", -32000, "logs matched by query exceeds limit of 10000", TooDense()),
    ("1RPC", -32000, "response size should not greater than 10000000 bytes", TooDense()),
    ("eRPC", -32012, "range threshold exceeded", StructuralCap(0)),
    ("SimplyVC", -32000, "too wide blocks range, the limit is 100", StructuralCap(100)),
    ("Polygon bor", -32005, "block range too large, range: 9000, max: 1000", StructuralCap(1_000)),
    ("geth, batch", -32003, "response too large", TooDense()),
    ("Linkpool", -32002, "request timed out", TooDense()),
    ("lagging", -32000, "header not found", None),
    ("lagging", -32000, "height is not available", None),
    ("lagging", -32000, "upstream does not have the requested block yet", None),
    ("lagging", -32602, "invalid block range", None),
    ("pruned", -32000, "missing trie node", None),
    ("down", -32000, "no backend is currently healthy", None),
    ("limited", -32005, "daily request count exceeded, request rate limited", None),
)


@pytest.mark.parametrize(("provider", "code", "message", "outcome"), CATALOGUE)
def test_what_a_provider_says(provider: str, code: int, message: str, outcome: Refusal | None) -> None:
    assert classify(code, message) == outcome, provider


def test_exact_range_is_taken_as_it_is() -> None:
    assert first_size(1_000, 500).after_refusal(100, 149, ExactRange(100, 119)).blocks == 20


def test_a_cap_stays() -> None:
    size = RangeSize(2_000, 2_000, 500).after_refusal(1, 2_000, StructuralCap(800))
    assert (size.blocks, size.cap) == (800, 800)
    assert size.after_answer(800, 0).blocks == 800


def test_density_is_temporary() -> None:
    size = RangeSize(64, 2_000, 500).after_refusal(1, 64, TooDense())
    assert (size.blocks, size.cap) == (32, 2_000)
    assert size.after_answer(32, 0).blocks == 64


def test_one_block_that_is_refused_is_an_alarm() -> None:
    with pytest.raises(BlockTooDense, match="single block 7"):
        RangeSize(1, 2_000, 500).after_refusal(7, 7, TooDense())


refusals = st.one_of(
    st.builds(ExactRange, st.integers(0, 4_000), st.integers(0, 4_000)),
    st.builds(StructuralCap, st.integers(0, 10_000)),
    st.just(TooDense()),
)


@given(st.integers(1, 5_000), st.integers(0, 3_000), st.data())
def test_a_refused_range_always_shrinks(cap: int, first: int, data: st.DataObject) -> None:
    """Whatever a provider says, the next range is smaller, down to one block."""
    size = RangeSize(cap, cap, 500)
    while size.blocks > 1:
        smaller = size.after_refusal(first, first + size.blocks - 1, data.draw(refusals))
        assert 1 <= smaller.blocks < size.blocks
        assert smaller.blocks <= smaller.cap
        size = smaller


@given(st.integers(1, 5_000), st.integers(1, 5_000), st.integers(0, 100_000))
def test_growth_is_bounded(cap: int, blocks: int, logs: int) -> None:
    blocks = min(blocks, cap)
    size = RangeSize(blocks, cap, 500).after_answer(blocks, logs)
    assert 1 <= size.blocks <= min(cap, 2 * blocks)


@given(st.integers(1, 400))
def test_size_settles_where_answers_hold_the_target(density: int) -> None:
    """A steady density of logs per block: after a while every answer holds between half and the whole
    target.
    """
    size = first_size(2_000, 500)
    for _ in range(20):
        size = size.after_answer(size.blocks, size.blocks * density)
    assert 250 <= size.blocks * density <= 500
