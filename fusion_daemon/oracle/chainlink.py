"""Chainlink feeds: what is asked of them, and how strictly the answers are taken.

Only `latestRoundData` is read: `latestAnswer` carries no time. `answeredInRound` is deprecated and no
sign of age; age is judged by `updatedAt` against the feed's own heartbeat.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import hex_of
from fusion_daemon.domain.price import LARGEST_USD, USD_DECIMALS
from fusion_daemon.oracle.reading import Outcome, Reading, Rejection
from fusion_daemon.oracle.settings import ChainlinkSource

LATEST_ROUND_DATA = bytes.fromhex("feaf968c")
DECIMALS = bytes.fromhex("313ce567")
DESCRIPTION = bytes.fromhex("7284e416")

_WORD = 32
_ROUND_WORDS = 5


class FeedMismatch(Failure):
    """A feed is not the one that the configuration means. Its asset is refused."""


class Malformed(ValueError):
    """An answer does not have the layout of the function that was called."""


@dataclass(frozen=True, slots=True)
class Round:
    round_id: int
    """Phase << 64 | aggregator round: not consecutive, jumps at a change of phase."""
    answer: int
    started_at: int
    updated_at: int


def decode_round(payload: bytes) -> Round:
    """The five words of `latestRoundData()`: uint80, int256, uint256, uint256, uint80. Raises Malformed."""
    if not payload:
        raise Malformed("no contract answers there")
    if len(payload) != _ROUND_WORDS * _WORD:
        raise Malformed(f"latestRoundData answered {len(payload)} bytes instead of {_ROUND_WORDS * _WORD}")
    words = [payload[start : start + _WORD] for start in range(0, len(payload), _WORD)]
    round_id, started_at, updated_at, answered_in = (int.from_bytes(words[at]) for at in (0, 2, 3, 4))
    if round_id >> 80 or answered_in >> 80:
        raise Malformed("a round id exceeds 80 bits")
    return Round(round_id, int.from_bytes(words[1], signed=True), started_at, updated_at)


def decode_decimals(payload: bytes) -> int:
    """One word holding a uint8. Raises Malformed."""
    if len(payload) != _WORD or any(payload[:-1]):
        raise Malformed(f"decimals() answered {payload.hex() or 'nothing'}")
    return payload[-1]


def decode_description(payload: bytes) -> str:
    """One ABI string: offset 32, length, UTF-8 octets padded to words. Raises Malformed."""
    head, body = payload[: 2 * _WORD], payload[2 * _WORD :]
    length = int.from_bytes(head[_WORD:])
    if len(head) != 2 * _WORD or int.from_bytes(head[:_WORD]) != _WORD or length > len(body):
        raise Malformed(f"description() answered {len(payload)} bytes that are no string")
    try:
        return body[:length].decode()
    except UnicodeDecodeError as error:
        raise Malformed("description() is not UTF-8") from error


def usd_of(answer: int, decimals: int) -> int:
    """A positive answer of a USD feed at 1e8; digits beyond that are cut off, so it may become 0."""
    scale: int = 10 ** abs(decimals - USD_DECIMALS)
    return answer // scale if decimals > USD_DECIMALS else answer * scale


def read_round(source: ChainlinkSource, payload: bytes, now: float, skew: float) -> Outcome:
    """Check one answer of `latestRoundData` received at `now` (unix seconds).

    Whether the round is too old is not decided here but whenever it is used: see `aggregation`.
    """
    try:
        data = decode_round(payload)
    except Malformed as error:
        return Rejection(source.name, str(error))
    usd = usd_of(data.answer, source.decimals)
    if data.answer <= 0 or usd <= 0:
        return Rejection(source.name, f"answer {data.answer} is not a positive price")
    if usd > LARGEST_USD:
        return Rejection(source.name, f"answer {data.answer} is more than any price")
    if data.updated_at == 0:
        return Rejection(source.name, f"round {data.round_id} is not complete (updatedAt 0)")
    if data.updated_at > now + skew:
        ahead = data.updated_at - int(now)
        return Rejection(source.name, f"updatedAt lies {ahead} s in the future, {skew:g} s are tolerated")
    return Reading(
        source=source.name,
        independence=source.independence,
        usd=usd,
        observed_at=data.updated_at,
        received_at=now,
        lifetime=source.heartbeat + source.slack,
        round_id=data.round_id,
        digest=hashlib.sha256(payload).hexdigest(),
    )


def check_identity(source: ChainlinkSource, decimals: bytes, description: bytes) -> None:
    """Compare the feed with the configuration. Raises FeedMismatch, Malformed.

    A feed with other decimals is wrong by powers of ten; one with another description prices another
    thing (the ratio of a staked token instead of its dollar value, for example).
    """
    for what, expected, found in (
        ("decimals()", str(source.decimals), str(decode_decimals(decimals))),
        ("description()", source.description, decode_description(description)),
    ):
        if found != expected:
            raise FeedMismatch(
                f"The feed {hex_of(source.address)} on chain {source.chain} answers {what} = {found!r}, "
                f"the configuration expects {expected!r}.",
                "It is not the feed that was meant, and its figures would be wrong; its asset is refused.",
                "Compare the feed's address with Chainlink's list, then correct address, decimals or "
                "description under [[oracle.assets]] and reload.",
            )
