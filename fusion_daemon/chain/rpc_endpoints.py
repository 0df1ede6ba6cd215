"""The endpoints of one chain: carries requests to whom `endpoint_state` chooses, at the pace of `request_rate`, and
tells both what came.

None is used before it has proved its chain id, and it proves it again whenever the pool moves to it and after every
fault. Those that are not in use are looked at aside, so that no step waits for the try of a dead one. Asyncio side.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from random import random

import aiohttp
import msgspec

from fusion_daemon.aio import BUCKETS
from fusion_daemon.chain.endpoint_state import (
    Answered,
    Behind,
    Condition,
    Contradicted,
    Event,
    Faulted,
    Headed,
    Limited,
    OnOtherChain,
    Restored,
    State,
    fresh_pool,
)
from fusion_daemon.chain.range_rules import classify
from fusion_daemon.chain.request_rate import RequestRate, first_rate
from fusion_daemon.chain.rpc_errors import (
    RpcFailure,
    block_unknown,
    complaint_of,
    endpoint_fault,
    endpoint_name,
    quote_node,
    rate_limited,
    unanswered,
    wrong_chain,
)
from fusion_daemon.chain.rpc_patience import pause
from fusion_daemon.chain.rpc_wire import (
    HEADERS,
    TEXTS,
    A,
    Call,
    WireError,
    encode_batch,
    in_order,
    number_of,
    retry_after_of,
)
from fusion_daemon.chain.settings import ChainSettings

_TOO_MANY = frozenset({-32005, 429, 42903})
_TOO_MANY_WORDS = ("rate limit", "too many requests", "request limit", "compute units", "capacity exceeded")
_TOO_LATE_OR_LARGE = frozenset({408, 413, 504, 524})
"""HTTP: timed out somewhere on the way, or larger than somebody on the way passes on."""
_NULL = b"null"
PROOF: Call = ("eth_chainId", [])
_UNKNOWN_WORDS = ("unknown block", "header not found", "not available", "does not have the requested block")

_KINDS: Mapping[type[Event], str] = {
    Answered: "answered",
    Headed: "head",
    Faulted: "fault",
    Limited: "limit",
    OnOtherChain: "chain_id",
    Behind: "behind",
    Contradicted: "contradicted",
    Restored: "restored",
}

Transition = tuple[State, State, str]
"""From, to, and the kind of event that made it so."""


@dataclass(slots=True)
class EndpointStatistics:
    name: str
    requests: int = 0
    faults: int = 0
    limits: int = 0
    escapes: int = 0
    """Single blocks whose logs it refused, so that their receipts were read."""
    in_flight: int = 0
    """HTTP requests that were sent and neither answered nor given up."""
    octets: int = 0
    """Received."""
    durations: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    """HTTP answers that came whole, by the seconds they took: a count for each of BUCKETS, and of those beyond …"""
    seconds: float = 0.0
    """… all together."""
    nulls: int = 0
    """JSON-RPC answers that said: no such thing."""
    errors: int = 0
    """JSON-RPC answers with an error, which whoever asked has to judge."""
    rate: float = 0.0
    """Calls a second that it is asked at most, as of now."""
    state: State = State.ALIVE
    reason: str = ""
    changed_at: float = 0.0
    """Unix seconds."""
    head: int | None = None
    in_use: bool = False
    transitions: dict[Transition, int] = field(default_factory=dict)

    @property
    def answers(self) -> int:
        """HTTP answers that came whole."""
        return sum(self.durations)

    def answered(self, octets: int, seconds: float) -> None:
        self.octets += octets
        self.seconds += seconds
        self.durations[bisect_left(BUCKETS, seconds)] += 1


@dataclass(slots=True)
class Endpoint:
    number: int
    """Its place among the configured ones."""
    url: str
    proved: bool
    """Its chain id was seen since the last fault, and since the pool moved to it."""
    statistics: EndpointStatistics
    rate: RequestRate


class Endpoints:
    """Every method raises a subclass of RpcFailure and nothing else."""

    def __init__(self, settings: ChainSettings, session: aiohttp.ClientSession) -> None:
        self._chain = settings.chain
        self._patience = settings.request_timeout
        self._session = session
        self._all = [
            Endpoint(number, url, False, EndpointStatistics(endpoint_name(url)), first_rate(settings.rate))
            for number, url in enumerate(settings.rpc_urls)
        ]
        for endpoint in self._all:
            self._note_rate(endpoint, endpoint.rate)
        self._pool = fresh_pool(len(self._all), time.monotonic())
        self._asides: dict[int, asyncio.Task[None]] = {}
        self._users = 1

    @property
    def closed(self) -> bool:
        return self._users == 0

    def joined(self) -> bool:
        """One more asks through them, and will close them. False: they are closed."""
        self._users += not self.closed
        return not self.closed

    async def close(self) -> None:
        """Ends connections with the last of those who ask through them."""
        self._users -= 1
        if self._users:
            return
        asides = list(self._asides.values())
        for aside in asides:
            aside.cancel()
        await asyncio.gather(*asides, return_exceptions=True)
        await self._session.close()

    def statistics(self) -> tuple[EndpointStatistics, ...]:
        """Counters, one per endpoint; safe to read from any thread."""
        return tuple(endpoint.statistics for endpoint in self._all)

    def at(self, number: int) -> Endpoint:
        return self._all[number]

    def choose(self) -> Endpoint:
        """Who is asked in the step that begins now. Raises RateLimited while nobody may be asked."""
        now = time.monotonic()
        number = self._pool.chosen(now)
        chosen = self._all[number]
        wait = self._pool.wait(number, now)
        if wait:
            raise rate_limited(chosen.url, wait)
        for endpoint in self._all:
            if endpoint.statistics.in_use is not (endpoint is chosen):
                endpoint.statistics.in_use = endpoint is chosen
                endpoint.proved = False
        before = self._pool.conditions
        self._pool = self._pool.begun(number, now)
        self._show(before, "step_over")
        self._look_aside(now)
        return chosen

    def report(self, endpoint: Endpoint, event: Event) -> None:
        """What somebody saw of it: the state follows."""
        before = self._pool.conditions
        self._pool = self._pool.after(endpoint.number, event, time.monotonic(), random())  # noqa: S311 - spreads tries, keeps no secret
        self._show(before, _KINDS[type(event)])

    def headroom(self, endpoint: Endpoint) -> int:
        """Calls that its rate lets through within one request timeout, whoever else waits for it: a step that asks for
        no more does not run late for the pace alone."""
        return endpoint.rate.headroom(self._patience, time.monotonic())

    async def prove(self, endpoint: Endpoint) -> None:
        if endpoint.proved:
            return
        [answer] = await self.ask(endpoint, [PROOF], TEXTS)
        self.judge_proof(endpoint, answer.result, answer.error)

    def judge_proof(self, endpoint: Endpoint, told: object, refused: WireError | None) -> None:
        """What it answered to PROOF."""
        raise_error(endpoint.url, refused)
        try:
            found = number_of(told if isinstance(told, str) else "")
        except ValueError as error:
            raise self.fault(endpoint, f"has no chain id ({error})") from error
        if found != self._chain:
            self.report(endpoint, OnOtherChain(found))
            raise wrong_chain(endpoint.url, self._chain, found)
        endpoint.proved = True

    async def ask(
        self, endpoint: Endpoint, calls: Sequence[Call], decoder: msgspec.json.Decoder[list[A] | A]
    ) -> list[A]:
        """One HTTP request with one batch; the answers in the order of the calls."""
        sent = await self._admit(endpoint, len(calls))
        status, retry_after, body = await self._post(endpoint, encode_batch(calls))
        try:
            decoded = decoder.decode(body)
            answers = decoded if isinstance(decoded, list) else [decoded]
            if len(answers) == 1 and answers[0].error is not None:
                refused = answers[0].error  # of the only call, or of the whole batch
                if status == 429 or _is_limit(refused):
                    raise self._limited(endpoint, sent, retry_after)
                ordered = [answers[0]] * len(calls)
            else:
                ordered = in_order(answers, len(calls))
        except (ValueError, msgspec.DecodeError) as error:
            if status == 429:
                raise self._limited(endpoint, sent, retry_after) from error
            what = f"answered with HTTP {status}" if status != 200 else f"did not answer JSON-RPC ({error})"
            if status in _TOO_LATE_OR_LARGE:
                raise self._silence(endpoint, what) from error
            raise self.fault(endpoint, what) from error
        if any(answer.error is not None and _is_limit(answer.error) for answer in ordered):
            raise self._limited(endpoint, sent, retry_after)
        endpoint.statistics.errors += sum(answer.error is not None for answer in ordered)
        endpoint.statistics.nulls += sum(answer.error is None and _is_null(answer.result) for answer in ordered)
        self._note_rate(endpoint, endpoint.rate.answered(time.monotonic()))
        self.report(endpoint, Answered())
        return ordered

    def fault(self, endpoint: Endpoint, what: str) -> RpcFailure:
        self._doubt(endpoint, what)
        return endpoint_fault(endpoint.url, what)

    async def _admit(self, endpoint: Endpoint, calls: int) -> float:
        """Wait until so many calls may be sent; when that is."""
        now = time.monotonic()
        rate, wait = endpoint.rate.admitted(calls, now)
        self._note_rate(endpoint, rate)
        if wait:
            await pause(wait)
        return now + wait

    def _note_rate(self, endpoint: Endpoint, rate: RequestRate) -> None:
        endpoint.rate = rate
        endpoint.statistics.rate = rate.rate

    async def _post(self, endpoint: Endpoint, body: bytes) -> tuple[int, float | None, bytes]:
        endpoint.statistics.requests += 1
        endpoint.statistics.in_flight += 1
        begun = time.monotonic()
        try:
            async with self._session.post(endpoint.url, data=body, allow_redirects=False) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # The text of the error may hold the URL with its key: the type says enough.
            raise self._silence(endpoint, f"did not answer ({type(error).__name__})") from error
        finally:
            endpoint.statistics.in_flight -= 1
        endpoint.statistics.answered(len(answer), time.monotonic() - begun)
        return response.status, retry_after_of(response.headers.get("Retry-After"), time.time()), answer

    def _silence(self, endpoint: Endpoint, what: str) -> RpcFailure:
        self._doubt(endpoint, what)
        return unanswered(endpoint.url, what)

    def _doubt(self, endpoint: Endpoint, what: str) -> None:
        endpoint.statistics.faults += 1
        endpoint.proved = False
        self.report(endpoint, Faulted(f"It {what}."))

    def _limited(self, endpoint: Endpoint, sent: float, retry_after: float | None) -> RpcFailure:
        endpoint.statistics.limits += 1
        now = time.monotonic()
        self._note_rate(endpoint, endpoint.rate.limited(sent, now))
        self.report(endpoint, Limited(retry_after))
        # Only while nobody else may be asked does the chain wait as long as it was told.
        wait = self._pool.wait(self._pool.chosen(now), now)
        return rate_limited(endpoint.url, wait or None)

    def _look_aside(self, now: float) -> None:
        for number in self._pool.due(now):
            if number not in self._asides:
                self._pool = self._pool.tried(number)
                trying = self._try(self._all[number])
                # In a context of its own: it outlives the crossing that began it.
                self._asides[number] = asyncio.get_running_loop().create_task(trying, context=Context())

    async def _try(self, endpoint: Endpoint) -> None:
        """Is it of our chain, and where is its head? What comes of it is in its state."""
        endpoint.proved = False
        try:
            await self.prove(endpoint)
            [latest] = await self.ask(endpoint, [("eth_getBlockByNumber", ["latest", False])], HEADERS)
            raise_error(endpoint.url, latest.error)
            if latest.result is None:
                raise block_unknown(endpoint.url, "a latest block")
            self.report(endpoint, Headed(number_of(latest.result.number)))
        except RpcFailure as failure:
            complaint = complaint_of(failure)
            if complaint is not None:
                self.report(endpoint, complaint)
        except ValueError as error:
            self._doubt(endpoint, f"answered with a malformed header ({error})")
        finally:
            del self._asides[endpoint.number]

    def _show(self, before: Sequence[Condition], cause: str) -> None:
        """What became of the endpoints, for those who look at the statistics."""
        for endpoint, old, new in zip(self._all, before, self._pool.conditions, strict=True):
            if new is old:
                continue
            shown = endpoint.statistics
            shown.head, shown.reason = new.head, new.reason
            if new.state is not old.state:
                shown.state, shown.changed_at = new.state, time.time()
                made = (old.state, new.state, cause)
                shown.transitions = {**shown.transitions, made: shown.transitions.get(made, 0) + 1}


def raise_error(url: str, error: WireError | None) -> None:
    if error is None:
        return
    if any(word in error.message.lower() for word in _UNKNOWN_WORDS):
        raise block_unknown(url, f"what was asked for ({quote_node(url, error.message)})")
    raise endpoint_fault(url, f"answered with error {error.code}: {quote_node(url, error.message)}")


def _is_null(result: object) -> bool:
    return result is None or (isinstance(result, msgspec.Raw) and bytes(result) == _NULL)


def _is_limit(error: WireError) -> bool:
    # -32005 is also Infura's code for a range with too many results, which its text says.
    if classify(error.code, error.message) is not None:
        return False
    return error.code in _TOO_MANY or any(word in error.message.lower() for word in _TOO_MANY_WORDS)
