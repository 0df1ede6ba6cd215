"""A revert's reason, as far as it can be told."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.transactions.reverts import reason_of


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytes.fromhex("08c379a0") + encode(["string"], ["no collateral"]), "no collateral"),
        (bytes.fromhex("4e487b71") + encode(["uint256"], [0x11]), "arithmetic overflow"),
        (bytes.fromhex("4e487b71") + encode(["uint256"], [0x99]), "panic 0x99"),
        (bytes.fromhex("deadbeef"), "0xdeadbeef"),
        (b"", "execution reverted"),
    ],
)
def test_the_reason_is_told_in_words_where_there_are_any(data: bytes, reason: str) -> None:
    assert reason_of(data, "execution reverted") == reason


@given(st.binary(max_size=200), st.sampled_from([b"", bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71")]))
def test_whatever_a_contract_returns_is_told_shortly(data: bytes, selector: bytes) -> None:
    assert len(reason_of(selector + data, "execution reverted")) <= 300
