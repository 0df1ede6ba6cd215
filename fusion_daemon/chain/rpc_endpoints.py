"""The endpoints of one chain: which of them is asked, and what an answer, a refusal or a silence does to it.

They are used one at a time: a fault moves on to the next, and one that limits our rate is left alone for as long as
it asks, while the others are used. None is used before it has proved its chain id, and it
proves it again after every fault. Asyncio side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import msgspec

from fusion_daemon.chain.range_rules import classify
from fusion_daemon.chain.rpc_errors import (
    RpcFailure,
    block_unknown,
    endpoint_fault,
    endpoint_name,
    quote_node,
    rate_limited,
    unanswered,
    wrong_chain,
)
from fusion_daemon.chain.rpc_wire import TEXTS, A, Call, WireError, encode_batch, in_order, number_of, retry_after_of
from fusion_daemon.chain.settings import ChainSettings

_TOO_MANY = frozenset({-32005, 429, 42903})
_TOO_MANY_WORDS = ("rate limit", "too many requests", "request limit", "compute units", "capacity exceeded")
_TOO_LATE_OR_LARGE = frozenset({408, 413, 504, 524})
"""HTTP: timed out somewhere on the way, or larger than somebody on the way passes on."""
_UNKNOWN_WORDS = ("unknown block", "header not found", "not available", "does not have the requested block")


@dataclass(slots=True)
class EndpointStatistics:
    name: str
    requests: int = 0
    faults: int = 0
    limits: int = 0
    escapes: int = 0
    """Single blocks whose logs it refused, so that their receipts were read."""
    octets: int = 0
    """Received."""


@dataclass(slots=True)
class Endpoint:
    number: int
    """Its place among the configured ones."""
    url: str
    proved: bool
    """Its chain id was seen since the last fault."""
    statistics: EndpointStatistics
    not_before: float = 0.0
    """It asked to be left alone until then, in seconds of the loop's clock."""


class Endpoints:
    """Every method raises a subclass of RpcFailure and nothing else."""

    def __init__(self, settings: ChainSettings, session: aiohttp.ClientSession) -> None:
        self._chain = settings.chain
        self._session = session
        self._all = [
            Endpoint(number, url, False, EndpointStatistics(endpoint_name(url)))
            for number, url in enumerate(settings.rpc_urls)
        ]
        self._current = 0

    async def close(self) -> None:
        await self._session.close()

    def statistics(self) -> tuple[EndpointStatistics, ...]:
        """Counters, one per endpoint; safe to read from any thread."""
        return tuple(endpoint.statistics for endpoint in self._all)

    def at(self, number: int) -> Endpoint:
        return self._all[number]

    def choose(self, avoid: int | None) -> Endpoint:
        """The current endpoint; the next one if the current one is to be avoided or asked to be left alone. Raises
        RateLimited while all of them did."""
        if avoid is not None:
            self._leave(self._all[avoid])
        now = asyncio.get_running_loop().time()
        order = [*self._all[self._current :], *self._all[: self._current]]
        chosen = min(order, key=lambda endpoint: max(endpoint.not_before, now))  # the first of those that are free
        if chosen.not_before > now:
            raise rate_limited(chosen.url, chosen.not_before - now)
        self._current = chosen.number
        return chosen

    async def prove(self, endpoint: Endpoint) -> None:
        if endpoint.proved:
            return
        [answer] = await self.ask(endpoint, [("eth_chainId", [])], TEXTS)
        raise_error(endpoint.url, answer.error)
        try:
            found = number_of(answer.result or "")
        except ValueError as error:
            raise self.fault(endpoint, f"has no chain id ({error})") from error
        if found != self._chain:
            self._leave(endpoint)
            raise wrong_chain(endpoint.url, self._chain, found)
        endpoint.proved = True

    async def ask(
        self, endpoint: Endpoint, calls: Sequence[Call], decoder: msgspec.json.Decoder[list[A] | A]
    ) -> list[A]:
        """One HTTP request with one batch; the answers in the order of the calls."""
        status, retry_after, body = await self._post(endpoint, encode_batch(calls))
        try:
            decoded = decoder.decode(body)
            answers = decoded if isinstance(decoded, list) else [decoded]
            if len(answers) == 1 and answers[0].error is not None:
                refused = answers[0].error  # of the only call, or of the whole batch
                if status == 429 or _is_limit(refused):
                    raise self._limited(endpoint, retry_after)
                return [answers[0]] * len(calls)
            ordered = in_order(answers, len(calls))
        except (ValueError, msgspec.DecodeError) as error:
            if status == 429:
                raise self._limited(endpoint, retry_after) from error
            what = f"answered with HTTP {status}" if status != 200 else f"did not answer JSON-RPC ({error})"
            if status in _TOO_LATE_OR_LARGE:
                raise self._silence(endpoint, what) from error
            raise self.fault(endpoint, what) from error
        if any(answer.error is not None and _is_limit(answer.error) for answer in ordered):
            raise self._limited(endpoint, retry_after)
        return ordered

    def fault(self, endpoint: Endpoint, what: str) -> RpcFailure:
        self._doubt(endpoint)
        return endpoint_fault(endpoint.url, what)

    async def _post(self, endpoint: Endpoint, body: bytes) -> tuple[int, float | None, bytes]:
        endpoint.statistics.requests += 1
        try:
            async with self._session.post(endpoint.url, data=body, allow_redirects=False) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # The text of the error may hold the URL with its key: the type says enough.
            raise self._silence(endpoint, f"did not answer ({type(error).__name__})") from error
        endpoint.statistics.octets += len(answer)
        return response.status, retry_after_of(response.headers.get("Retry-After"), time.time()), answer

    def _silence(self, endpoint: Endpoint, what: str) -> RpcFailure:
        self._doubt(endpoint)
        return unanswered(endpoint.url, what)

    def _doubt(self, endpoint: Endpoint) -> None:
        endpoint.statistics.faults += 1
        endpoint.proved = False
        self._leave(endpoint)

    def _limited(self, endpoint: Endpoint, retry_after: float | None) -> RpcFailure:
        endpoint.statistics.limits += 1
        now = asyncio.get_running_loop().time()
        endpoint.not_before = now + (retry_after or 0.0)
        self._leave(endpoint)
        # Only while nobody else may be asked does the chain wait as long as it was told.
        wait = min(each.not_before for each in self._all) - now
        return rate_limited(endpoint.url, wait if wait > 0 else None)

    def _leave(self, endpoint: Endpoint) -> None:
        """Go on with the next one, unless another one is in use already."""
        if endpoint.number == self._current:
            self._current = (self._current + 1) % len(self._all)


def raise_error(url: str, error: WireError | None) -> None:
    if error is None:
        return
    if any(word in error.message.lower() for word in _UNKNOWN_WORDS):
        raise block_unknown(url, f"what was asked for ({quote_node(url, error.message)})")
    raise endpoint_fault(url, f"answered with error {error.code}: {quote_node(url, error.message)}")


def _is_limit(error: WireError) -> bool:
    # -32005 is also Infura's code for a range with too many results, which its text says.
    if classify(error.code, error.message) is not None:
        return False
    return error.code in _TOO_MANY or any(word in error.message.lower() for word in _TOO_MANY_WORDS)
