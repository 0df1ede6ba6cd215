"""Every check on a Chainlink answer, one scenario each, and the decoders against an independent encoder."""

from __future__ import annotations

import hashlib

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.domain.identifiers import Address, ChainId
from fusion_daemon.oracle.calls import CallFailed, judge_identity
from fusion_daemon.oracle.chainlink import (
    DECIMALS,
    DESCRIPTION,
    LATEST_ROUND_DATA,
    FeedMismatch,
    Malformed,
    Round,
    check_identity,
    decode_decimals,
    decode_description,
    decode_round,
    read_round,
    usd_of,
)
from fusion_daemon.oracle.reading import Reading, Rejection
from fusion_daemon.oracle.settings import ChainlinkSource

NOW = 1_800_000_000
ROUND = ("uint80", "int256", "uint256", "uint256", "uint80")
FEED = ChainlinkSource(ChainId(1), Address(b"\xaa" * 20), 8, "ETH / USD", heartbeat=3600.0, slack=60.0)

EIGHT, NAME = encode(["uint8"], [8]), encode(["string"], ["ETH / USD"])


def payload(answer: int = 2000 * 10**8, updated_at: int = NOW - 10, round_id: int = (7 << 64) | 3) -> bytes:
    return encode(ROUND, (round_id, answer, updated_at, updated_at, round_id))


def rejection(answer: bytes, source: ChainlinkSource = FEED) -> str:
    outcome = read_round(source, answer, float(NOW), skew=60.0)
    assert isinstance(outcome, Rejection)
    assert outcome.source == source.name
    return outcome.reason


def test_selectors_are_those_of_the_functions() -> None:
    names = {"latestRoundData()": LATEST_ROUND_DATA, "decimals()": DECIMALS, "description()": DESCRIPTION}
    for signature, selector in names.items():
        assert selector == keccak(text=signature)[:4]


@given(
    st.integers(0, 2**80 - 1),
    st.integers(-(2**255), 2**255 - 1),
    st.integers(0, 2**256 - 1),
    st.integers(0, 2**256 - 1),
    st.integers(0, 2**80 - 1),
)
def test_decodes_what_an_abi_encoder_encodes(a: int, b: int, c: int, d: int, e: int) -> None:
    assert decode_round(encode(ROUND, (a, b, c, d, e))) == Round(a, b, c, d)


@given(st.binary(max_size=300).filter(lambda octets: len(octets) != 160))
def test_other_lengths_are_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed):
        decode_round(octets)


def test_a_round_id_beyond_80_bits_is_malformed() -> None:
    good = payload()
    for word in (0, 4):
        bad = good[: 32 * word] + b"\x01" + good[32 * word + 1 :]
        with pytest.raises(Malformed, match="80 bits"):
            decode_round(bad)


@given(st.text(max_size=100))
def test_descriptions_decode(text: str) -> None:
    assert decode_description(encode(["string"], [text])) == text


@pytest.mark.parametrize(
    "octets",
    [b"", b"ETH / USD", encode(["uint256", "uint256"], [64, 5]), encode(["uint256", "uint256"], [32, 5])],
    ids=["empty", "bytes32 style", "other offset", "shorter than its length"],
)
def test_malformed_descriptions_are_refused(octets: bytes) -> None:
    with pytest.raises(Malformed):
        decode_description(octets)


def test_a_description_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(Malformed, match="UTF-8"):
        decode_description(encode(["bytes"], [b"\xff\xfe"]))


@given(st.integers(0, 255))
def test_decimals_decode(decimals: int) -> None:
    assert decode_decimals(encode(["uint8"], [decimals])) == decimals


@pytest.mark.parametrize("octets", [b"", b"\x08", encode(["uint256"], [256])])
def test_malformed_decimals_are_refused(octets: bytes) -> None:
    with pytest.raises(Malformed):
        decode_decimals(octets)


def test_a_good_round_becomes_a_reading_with_its_provenance() -> None:
    answer = payload()
    assert read_round(FEED, answer, float(NOW), skew=60.0) == Reading(
        source="chainlink:1:0x" + "aa" * 20,
        independence="chainlink",
        usd=2000 * 10**8,
        observed_at=NOW - 10,
        received_at=float(NOW),
        lifetime=3660.0,
        round_id=(7 << 64) | 3,
        digest=hashlib.sha256(answer).hexdigest(),
    )


@pytest.mark.parametrize("answer", [0, -1, -(2**255)])
def test_an_answer_must_be_positive(answer: int) -> None:
    assert "not a positive price" in rejection(payload(answer=answer))


def test_an_answer_too_small_for_our_scale_is_no_price() -> None:
    fine = ChainlinkSource(ChainId(1), FEED.address, 18, "X / USD", 3600.0, 60.0)
    assert "not a positive price" in rejection(payload(answer=10**10 - 1), fine)


def test_an_answer_beyond_any_price_is_none() -> None:
    # It would overflow what stores it, and the poller would fail over it for as long as the feed says so.
    assert "more than any price" in rejection(payload(answer=2**255 - 1))
    assert "more than any price" in rejection(payload(answer=10**30 + 1))
    assert isinstance(read_round(FEED, payload(answer=10**30), float(NOW), skew=60.0), Reading)


def test_a_round_without_a_time_is_not_complete() -> None:
    assert "not complete" in rejection(payload(updated_at=0))


def test_the_future_is_tolerated_up_to_the_skew() -> None:
    #  now ---- now+60 | now+61
    assert isinstance(read_round(FEED, payload(updated_at=NOW + 60), float(NOW), skew=60.0), Reading)
    assert "61 s in the future" in rejection(payload(updated_at=NOW + 61))


def test_an_address_without_a_contract_is_told_as_such() -> None:
    assert rejection(b"") == "no contract answers there"


@given(st.integers(1, 10**60), st.integers(0, 36))
def test_scaling_cuts_off_and_never_invents_value(answer: int, decimals: int) -> None:
    usd = usd_of(answer, decimals)
    # usd / 1e8 <= answer / 10^decimals < (usd + 1) / 1e8
    assert usd * 10**decimals <= answer * 10**8 < (usd + 1) * 10**decimals


def test_a_feed_with_unexpected_decimals_is_refused_by_name_expected_and_found() -> None:
    with pytest.raises(FeedMismatch) as caught:
        check_identity(FEED, encode(["uint8"], [18]), encode(["string"], ["ETH / USD"]))
    text = str(caught.value)
    assert "0x" + "aa" * 20 in text
    assert "'18'" in text
    assert "'8'" in text


def test_a_ratio_feed_is_not_taken_for_a_dollar_feed() -> None:
    with pytest.raises(FeedMismatch, match="'CBETH / ETH'"):
        check_identity(FEED, encode(["uint8"], [8]), encode(["string"], ["CBETH / ETH"]))


def test_the_feed_that_is_meant_passes() -> None:
    assert judge_identity(FEED, [encode(["uint8"], [8]), encode(["string"], ["ETH / USD"])]) is None


def test_an_unanswered_question_is_no_mismatch() -> None:
    failed = CallFailed("The node is down.", "Nothing is known.", "Wait.")
    good = encode(["uint8"], [8])
    assert judge_identity(FEED, [failed, good]) is failed
    assert judge_identity(FEED, [good, failed]) is failed


@pytest.mark.parametrize("answers", [(b"", b""), (b"", NAME), (EIGHT, b"")])
def test_an_empty_answer_is_no_mismatch(answers: tuple[bytes, bytes]) -> None:
    """A node that lags behind the feed's deployment answers 0x; a refusal would last until the next restart."""
    found = judge_identity(FEED, answers)
    assert isinstance(found, CallFailed)
    assert "No contract answers at chainlink:1:0x" in str(found)


def test_something_that_is_no_feed_is_a_mismatch() -> None:
    found = judge_identity(FEED, [encode(["uint256"], [10**18]), NAME])
    assert isinstance(found, FeedMismatch)
    assert "no Chainlink feed" in str(found)
