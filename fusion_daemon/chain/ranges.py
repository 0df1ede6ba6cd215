"""How many blocks to ask for at once: range size as data, provider errors as a table of rules.

Two things move the size. Answers: it grows towards `target` logs per answer, at most doubling at a time.
Errors: the table tells a range that the provider suggests, a cap it always enforces, and an answer that was
too dense, from everything that has nothing to do with the range.

INVARIANT (strict progress): after a refused range of n blocks the next one is smaller than n; a refused
single block raises `BlockTooDense` instead of trying for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from fusion_daemon.domain.failure import Failure

_NUMBER = r"(\d[\d,._']*)"
_HEX_RANGE = r"\[?\s*(0x[0-9a-f]+)\s*(?:,|-|to)\s*(0x[0-9a-f]+)\s*\]?"


class BlockTooDense(Failure):
    """A provider refuses the logs of one single block."""


@dataclass(frozen=True, slots=True)
class ExactRange:
    """The provider named a range that it would answer (inclusive)."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class StructuralCap:
    """The provider never answers more than `blocks` blocks; 0: it did not say how many."""

    blocks: int


@dataclass(frozen=True, slots=True)
class TooDense:
    """This range held too many logs (or took too long); another may hold fewer."""


Refusal = ExactRange | StructuralCap | TooDense


@dataclass(frozen=True, slots=True)
class Rule:
    """`provider` is documentation: the rules are tried in order on every provider's text."""

    provider: str
    pattern: re.Pattern[str]
    outcome: Callable[[re.Match[str]], Refusal | None]


def _exact_hex(match: re.Match[str]) -> Refusal | None:
    return _ordered(int(match[1], 16), int(match[2], 16))


def _exact(match: re.Match[str]) -> Refusal | None:
    return _ordered(_integer(match[1]), _integer(match[2]))


def _ordered(first: int, last: int) -> ExactRange | None:
    # An inverted suggestion is a provider's slip that says nothing: the next rule that fits decides.
    return ExactRange(first, last) if first <= last else None


def _cap(match: re.Match[str]) -> Refusal:
    return StructuralCap(_integer(match[1]))


def _cap_kilo(match: re.Match[str]) -> Refusal:
    return StructuralCap(_integer(match[1]) * 1_000)


def _unnamed_cap(_match: re.Match[str]) -> Refusal:
    return StructuralCap(0)


def _dense(_match: re.Match[str]) -> Refusal:
    return TooDense()


def _integer(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def _rule(provider: str, pattern: str, outcome: Callable[[re.Match[str]], Refusal | None]) -> Rule:
    return Rule(provider, re.compile(pattern, re.IGNORECASE), outcome)


_NOT_ABOUT_THE_RANGE = re.compile(
    r"height is not available|header not found|does not have the requested block|missing trie node"
    r"|unknown block|invalid block range|no backend is currently healthy",
    re.IGNORECASE,
)
"""A block that the node lacks: it lags, or the block was reorganised away. Never shrink on these."""

RULES: tuple[Rule, ...] = (
    _rule("Alchemy", rf"this block range should work:\s*{_HEX_RANGE}", _exact_hex),
    _rule("Infura, zkSync, Thirdweb, Tenderly", rf"try with this block range\s*{_HEX_RANGE}", _exact_hex),
    _rule("Llama, Ankr, Altitude", r"retry with the range\s*(\d+)\s*-\s*(\d+)", _exact),
    _rule("Blast paid", rf"exceeds the range allowed for your plan \(\s*\d+\s*>\s*{_NUMBER}\s*\)", _cap),
    _rule("Alchemy, Aurora", rf"up to a {_NUMBER} block range", _cap),
    _rule("QuickNode, 1RPC, Blast", rf"limited to a {_NUMBER}(?: blocks?)? range", _cap),
    _rule("BlockPI", rf"limited to {_NUMBER} blocks?", _cap),
    _rule("Harmony", rf"must be smaller than size {_NUMBER}", _cap),
    _rule("Harmony, Merkle", rf"max is {_NUMBER}k blocks", _cap_kilo),
    _rule("TAC", rf"maximum \[from, to\] blocks distance:?\s*{_NUMBER}", _cap),
    _rule("Avalanche", rf"requested too many blocks from \d+ to \d+, maximum is set to {_NUMBER}", _cap),
    _rule("dRPC", rf"ranges over {_NUMBER} blocks are not supported", _cap),
    _rule("Cloudflare", rf"max range:\s*{_NUMBER}", _cap),
    _rule("Thirdweb", rf"maximum allowed number of requested blocks is {_NUMBER}", _cap),
    _rule("Coinbase", rf"limit the query to at most {_NUMBER} blocks", _cap),
    _rule("PublicNode, geth forks, BSC", rf"maximum block range:?\s*{_NUMBER}", _cap),
    _rule("Hyperliquid, Tron", rf"exceeds? max block range:?\s*{_NUMBER}", _cap),
    _rule("Sei", rf"maximum allowed is {_NUMBER} blocks", _cap),
    _rule("Polygon bor", rf"range:\s*\d+,\s*max:\s*{_NUMBER}", _cap),
    _rule("Swell", rf"greater than {_NUMBER} max", _cap),
    _rule("SimplyVC", rf"too wide blocks range, the limit is {_NUMBER}", _cap),
    _rule("Moonriver", rf"too wide \(maximum {_NUMBER}\)", _cap),
    _rule("Infura", r"returned more than [\d,]+ results", _dense),
    _rule("Alchemy", r"log response size exceeded", _dense),
    _rule("Infura", r"query timeout exceeded", _dense),
    _rule("Ankr", r"query exceeds max results", _dense),
    _rule("Arbitrum", r"logs matched by query exceeds limit", _dense),
    _rule("1RPC", r"response size should not greater than", _dense),
    _rule("Optimism", r"backend response too large|response too large", _dense),
    _rule("Somnia", rf"range exceeds {_NUMBER}", _cap),
    _rule("Ankr", r"block range is too wide", _unnamed_cap),
    _rule("Optimism, Base, Monad", r"block range (?:is )?too large", _unnamed_cap),
    _rule("Chainstack", r"block range limit exceeded", _unnamed_cap),
    _rule("eRPC", r"exceeded max allowed|range threshold exceeded", _unnamed_cap),
)

_DENSE_CODES = frozenset({-32002, -32003})
"""Timed out; response too large. Both mean: ask for less."""


def classify(code: int, message: str) -> Refusal | None:
    """What a JSON-RPC error says about the range that was asked for; None: nothing."""
    if _NOT_ABOUT_THE_RANGE.search(message):
        return None
    for rule in RULES:
        match = rule.pattern.search(message)
        if match is not None:
            refusal = rule.outcome(match)
            if refusal is not None:
                return refusal
    return TooDense() if code in _DENSE_CODES else None


@dataclass(frozen=True, slots=True)
class RangeSize:
    """`blocks` is what the next range holds, at most; 1 <= blocks <= cap."""

    blocks: int
    cap: int
    target: int
    """Logs per answer to aim at."""

    def after_answer(self, asked: int, logs: int) -> RangeSize:
        """`asked` blocks held `logs` logs. Grows at most twofold; an answer above twice the target
        shrinks.
        """
        fitting = self.cap if logs == 0 else max(1, asked * self.target // logs)
        if fitting < asked:
            return replace(self, blocks=fitting)
        return replace(self, blocks=max(self.blocks, min(fitting, asked * 2, self.cap)))

    def after_refusal(self, first: int, last: int, refusal: Refusal) -> RangeSize:
        """Blocks first..last (inclusive) were refused."""
        asked = last - first + 1
        if asked == 1:
            raise BlockTooDense(
                f"The provider refuses the logs of the single block {first}.",
                "The listener cannot pass this block; nothing behind it is read.",
                "Use an RPC provider with a higher limit for eth_getLogs.",
            )
        match refusal:
            case ExactRange(start, end) if start == first <= end < last:
                return replace(self, blocks=end - start + 1)
            case StructuralCap(blocks) if 1 <= blocks < asked:
                return replace(self, blocks=blocks, cap=blocks)
            case _:
                return replace(self, blocks=asked // 2)


def first_size(longest: int, target: int) -> RangeSize:
    """Nothing is known yet: begin small enough for every provider seen so far."""
    return RangeSize(blocks=min(50, longest), cap=longest, target=target)
