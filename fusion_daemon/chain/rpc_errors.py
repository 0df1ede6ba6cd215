"""What can go wrong between us and a node, each with its own consequence for the listener."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from fusion_daemon.chain.endpoint_state import Behind, Event, Faulted
from fusion_daemon.chain.range_rules import Said
from fusion_daemon.chain.validate import Inconsistent
from fusion_daemon.domain.failure import Failure


def endpoint_name(url: str) -> str:
    """Scheme, host and port: what may be shown. Providers put keys in the user part, the path and the
    query.
    """
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port is not None else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}"


_MASK = "[redacted]"
_SHORTEST_KEY = 6
"""Characters: path segments such as `v3` are no keys."""
_LONGEST_QUOTE = 200


def quote_node(url: str, message: str) -> str:
    """What a node says, short enough to show and without what only its URL holds: some providers repeat in an
    error the path, and with it the key, that they were asked with.
    """
    parts = urlsplit(url)
    login = [parts.username or "", parts.password or ""]
    raw = [*login, *parts.path.split("/"), *(pair.split("=", 1)[-1] for pair in parts.query.split("&"))]
    basic = b64encode(":".join(map(unquote, login)).encode()).decode()  # as it goes into the Authorization header
    held = {*raw, *map(unquote, raw), basic}
    for key in sorted(held, key=len, reverse=True):
        if len(key) >= _SHORTEST_KEY:
            message = message.replace(key, _MASK)
    return message[:_LONGEST_QUOTE]


class RpcFailure(Failure):
    """Any failure to get an answer from a node. Nothing was stored; the same question may be asked again."""


class EndpointFault(RpcFailure):
    """No usable answer: unreachable, timed out, an HTTP error, not JSON-RPC, or an error of the node's
    own.
    """


class BlockUnknown(RpcFailure):
    """The node does not have a block: it lags, or the block was reorganised away. Says nothing about
    ranges.
    """


class Unanswered(EndpointFault):
    """Nothing came, or not all of it, or too late: perhaps what was asked for is too large to be answered in time."""


@dataclass(eq=False)
class BlockTooDense(RpcFailure):
    """No way that is left gives the logs of one single block."""

    block: int


@dataclass(eq=False)
class RateLimited(RpcFailure):
    retry_after: float | None = None
    """Seconds until an endpoint may be asked again; None: there is one already."""


@dataclass(eq=False)
class RangeRefused(RpcFailure):
    """The logs of blocks first..last (inclusive) are too much for this provider."""

    first: int
    last: int
    said: Said


@dataclass(eq=False)
class WrongChain(RpcFailure):
    """A node belongs to another chain than its configuration says."""

    expected: int
    found: int


def complaint_of(failure: RpcFailure | Inconsistent) -> Event | None:
    """What a step that ended so says about its endpoint. None: nothing, or what the pool knows already."""
    match failure:
        case BlockUnknown():
            return Behind(failure.happened, None)
        case RateLimited() | WrongChain() | RangeRefused():
            return None
    return Faulted(failure.happened)


_NO_DATA = (
    "This endpoint gives no data; the listener tries again, with the next endpoint if there is one.",
    "If it lasts, check the provider's status page, the API key and the network.",
)


def endpoint_fault(url: str, what: str) -> EndpointFault:
    return EndpointFault(f"{endpoint_name(url)} {what}.", *_NO_DATA)


def crossing_unanswered(seconds: float) -> Unanswered:
    return Unanswered(
        f"An endpoint did not answer within {seconds:g} s.",
        "Nothing of what was asked is stored; it is asked again, of another endpoint if there is one.",
        "If it lasts, check the provider's status page and the network.",
    )


def unanswered(url: str, what: str) -> Unanswered:
    return Unanswered(f"{endpoint_name(url)} {what}.", *_NO_DATA)


def block_too_dense(url: str, number: int, message: str) -> BlockTooDense:
    return BlockTooDense(
        f"{endpoint_name(url)} gives neither the logs nor the receipts of the single block {number}:"
        f" {quote_node(url, message)}.",
        "The listener cannot pass this block; nothing behind it is read, and nothing is skipped by itself.",
        "Use an RPC provider with a higher limit for eth_getLogs, or with eth_getBlockReceipts. See the runbook"
        " BlockTooDense.",
        number,
    )


def block_unknown(url: str, what: str) -> BlockUnknown:
    return BlockUnknown(
        f"{endpoint_name(url)} does not have {what}.",
        "The endpoint lags behind, or the block was reorganised away while it was read.",
        "Nothing if it passes; an endpoint that keeps lagging should be replaced.",
    )


def rate_limited(url: str, retry_after: float | None) -> RateLimited:
    return RateLimited(
        f"{endpoint_name(url)} limits our request rate.",
        "The listener slows down; the chain is followed with a delay.",
        "Raise the provider's plan or add an endpoint if the delay matters.",
        retry_after,
    )


def range_refused(url: str, first: int, last: int, message: str, said: Said) -> RangeRefused:
    return RangeRefused(
        f"{endpoint_name(url)} refuses the logs of blocks {first} to {last}: {quote_node(url, message)}.",
        "The range is too large for this provider; the listener asks for less.",
        "Nothing.",
        first,
        last,
        said,
    )


def wrong_chain(url: str, expected: int, found: int) -> WrongChain:
    return WrongChain(
        f"{endpoint_name(url)} serves chain {found}, but the configuration says chain {expected}.",
        "Nothing is read from it: blocks of another chain must never enter this chain's journal.",
        "Correct `rpc_urls` or the chain id in the configuration.",
        expected,
        found,
    )
