"""Is what a node said consistent? Headers among themselves, logs against their headers, both ways.

What this catches: a chain that moved between two requests, a block of one backend with the logs of another,
logs left out of a range answer, duplicated or reordered logs. What it cannot catch: a node that leaves out
some of a single block's logs, since the bloom filter names contracts and topics, not how often.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Sequence

from eth_utils.crypto import keccak

from fusion_daemon.chain.blocks import Header, Log, Span
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, Hash32, hex_of


class Inconsistent(Failure):
    """An endpoint contradicted itself: its answers must not be used."""


class Unlinked(Failure):
    """The blocks do not continue the stored chain: it was reorganised."""


@functools.lru_cache(maxsize=65_536)
def bloom_bits(item: bytes) -> int:
    """The three bits that an address or topic sets in a block's bloom filter (Ethereum yellow paper,
    4.4.3).
    """
    digest = keccak(item)
    return functools.reduce(
        lambda bits, pair: bits | 1 << (int.from_bytes(digest[pair : pair + 2], "big") & 2047), (0, 2, 4), 0
    )


def may_hold(header: Header, contracts: Collection[Address]) -> bool:
    """False only when the block certainly has no log of any of these contracts."""
    bloom = header.bloom
    if not contracts:
        return False  # to a node, no address means every address
    return bloom is None or (bloom != 0 and any(bloom & bits == bits for bits in map(bloom_bits, contracts)))


def unexplained(headers: Iterable[Header], logs: Iterable[Log], contracts: Sequence[Address]) -> tuple[Header, ...]:
    """Blocks in which some contract should have logs, by the block's own bloom filter, but none came.

    Mostly the filter's false positives (or filters that the node left empty); asking for such a block by its
    hash settles it, since a node then cannot answer for a block that it does not have.
    """
    present = {(log.block_number, log.address) for log in logs}
    return tuple(
        header
        for header in headers
        if any(may_hold(header, (contract,)) and (header.number, contract) not in present for contract in contracts)
    )


def complete(header: Header, logs: Iterable[Log]) -> bool:
    """Are these, of whatever contracts, all the logs that the block's own bloom filter was made of? A node may have
    a block's header before it has all its receipts."""
    return header.bloom == functools.reduce(lambda bits, log: bits | _bloom_of(log), logs, 0)


def check_span(span: Span, first: int, parent: Hash32 | None) -> None:
    """Raises Unlinked when the first header does not continue `parent` (None: any), Inconsistent when the
    span contradicts itself."""
    check_headers(span.headers, first)
    if parent is not None and span.headers[0].parent_hash != parent:
        raise Unlinked(
            f"Block {first} ({hex_of(span.headers[0].hash)}) does not continue {hex_of(parent)}.",
            "The chain was reorganised.",
            "Nothing: the listener finds the common ancestor and follows.",
        )
    check_logs(span)


def check_headers(headers: Sequence[Header], first: int) -> None:
    """Numbers without a gap from `first`, each the child of the one before. Raises Inconsistent."""
    if not headers:
        raise _inconsistent(f"No block came for {first}.")
    before: Header | None = None
    for number, header in enumerate(headers, first):
        if header.number != number:
            raise _inconsistent(f"Block {header.number} came for {number}.")
        if before is not None and header.parent_hash != before.hash:
            raise _inconsistent(f"Block {number} is not the child of the block that came before it.")
        before = header


def check_logs(span: Span) -> None:
    """In chain order, each of a block of the span, each in its block's bloom filter. Raises Inconsistent."""
    headers = {header.number: header for header in span.headers}
    place = (-1, -1, -1)
    for log in span.logs:
        header = headers.get(log.block_number)
        if header is None or log.block_hash != header.hash:
            raise _inconsistent(f"A log of block {log.block_number} names another block than its header.")
        here = (log.block_number, log.log_index, log.transaction_index)
        if here[0] == place[0] and (here[1] <= place[1] or here[2] < place[2]):
            raise _inconsistent(f"Logs of block {log.block_number} are duplicated or out of order.")
        if here[0] < place[0]:
            raise _inconsistent("Logs are not in the order of their blocks.")
        place = here
        if header.bloom is not None and not _explained(header.bloom, log):
            raise _inconsistent(f"A log of block {log.block_number} is not in its bloom filter.")


def _explained(bloom: int, log: Log) -> bool:
    bits = _bloom_of(log)
    return bloom & bits == bits


def _bloom_of(log: Log) -> int:
    bits = bloom_bits(log.address)
    for topic in log.topics:
        bits |= bloom_bits(topic)
    return bits


def _inconsistent(happened: str) -> Inconsistent:
    return Inconsistent(
        happened,
        "The endpoint contradicted itself, or the chain moved while it was read; nothing was stored.",
        "Nothing if it passes; an endpoint that keeps doing it should be replaced.",
    )
