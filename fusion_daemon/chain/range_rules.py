"""What a provider's error says about the range that was asked for: a table of rules, one row a phrase.

A row ends in one of four outcomes: a range that would be answered, a cap on the blocks of every range, an answer that
is too large, or nothing about the range at all. Rows are tried in order on every provider's text, since gateways pass
on each other's. What no row knows is no range error: shrinking on an unknown error would only hide it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

# As people write it: 10000, 10,000, 10.000, 10k; bounded, since a node may send digits without end.
_NUMBER = r"(\d[\d,._']{0,24}(?:k\b)?)"
_BLOCK = r"(0x[0-9a-f]{1,16}|\d[\d,]{0,24})"
_RANGE = rf"\[?\s*{_BLOCK}\s*(?:,|-|to)\s*{_BLOCK}\s*\]?"
_CODE_TIMED_OUT = -32002
_CODE_TOO_LARGE = -32003


class Reason(StrEnum):
    """Why a range was split."""

    SUGGESTED = "suggested"
    CAP = "cap"
    DENSE = "dense"
    SILENCE = "silence"
    """No rule's: the endpoint did not answer at all."""


@dataclass(frozen=True, slots=True)
class ExactRange:
    """The provider named a range that it would answer (inclusive), which may be nonsense."""

    first: int
    last: int

    @property
    def reason(self) -> Reason:
        return Reason.SUGGESTED


@dataclass(frozen=True, slots=True)
class StructuralCap:
    """The provider never answers more than `blocks` blocks; 0: it did not say how many."""

    blocks: int

    @property
    def reason(self) -> Reason:
        return Reason.CAP


@dataclass(frozen=True, slots=True)
class TooDense:
    """This range held too many logs (or took too long); another may hold fewer."""

    @property
    def reason(self) -> Reason:
        return Reason.DENSE


@dataclass(frozen=True, slots=True)
class NotAboutTheRange:
    """A block that the node lacks, a key, a quota: a smaller range would be refused as well."""


Refusal = ExactRange | StructuralCap | TooDense
Outcome = Refusal | NotAboutTheRange


@dataclass(frozen=True, slots=True)
class Rule:
    """`name` is unique and the label of the metric; `provider` is where the phrase was seen."""

    name: str
    provider: str
    pattern: re.Pattern[str]
    outcome: Callable[[re.Match[str]], Outcome]
    code: int | None = None
    """Only on errors of this JSON-RPC code; None: any."""


@dataclass(frozen=True, slots=True)
class Said:
    rule: str
    refusal: Refusal


def _exact(match: re.Match[str]) -> Outcome:
    return ExactRange(_block(match[1]), _block(match[2]))


def _cap(match: re.Match[str]) -> Outcome:
    return StructuralCap(_integer(match[1]))


def _unnamed_cap(_match: re.Match[str]) -> Outcome:
    return StructuralCap(0)


def _dense(_match: re.Match[str]) -> Outcome:
    return TooDense()


def _other(_match: re.Match[str]) -> Outcome:
    return NotAboutTheRange()


def _integer(text: str) -> int:
    number = int(re.sub(r"\D", "", text))
    return number * 1_000 if text[-1] in "kK" else number


def _block(text: str) -> int:
    return int(text, 16) if text[:2].lower() == "0x" else _integer(text)


def _rule(
    name: str, provider: str, pattern: str, outcome: Callable[[re.Match[str]], Outcome], code: int | None = None
) -> Rule:
    return Rule(name, provider, re.compile(pattern, re.IGNORECASE), outcome, code)


_NOT_ABOUT_THE_RANGE: tuple[Rule, ...] = (
    _rule("height_not_available", "Cosmos EVM chains", r"height \S* ?is not available|height is not available", _other),
    _rule("header_not_found", "geth", r"header not found", _other),
    _rule("block_not_there_yet", "gateways", r"does not have the requested block", _other),
    _rule("missing_trie_node", "geth, pruned", r"missing trie node", _other),
    _rule("unknown_block", "geth, anvil", r"unknown block", _other),
    _rule("hyperliquid_missing_blocks", "Hyperliquid", r"invalid block range", _other),
    _rule("no_healthy_backend", "Base, Monad", r"no backend is currently healthy", _other),
    _rule("beyond_head", "geth, anvil", r"beyond (?:the )?current head|block height is \d+ but requested", _other),
    _rule("specify_address", "allnodes", r"specify (?:an )?address", _other, -32701),
    _rule("data_not_available", "gateways", r"data (?:is )?not available", _other, -32043),
    _rule("api_key", "gateways", r"api key", _other, -32052),
    _rule("compute_units", "dRPC", r"compute units", _other),
    _rule("request_rate", "Infura", r"request rate|rate limit|too many requests", _other),
)

_SUGGESTED: tuple[Rule, ...] = (
    _rule("alchemy_suggestion", "Alchemy", rf"this block range should work:\s*{_RANGE}", _exact),
    _rule("infura_suggestion", "Infura, zkSync, Tenderly", rf"try with this block range:?\s*{_RANGE}", _exact),
    _rule("llama_suggestion", "Llama, Ankr, Altitude", rf"retry with the range:?\s*{_RANGE}", _exact),
)

_CAPS: tuple[Rule, ...] = (
    _rule("blast_plan", "Blast paid", rf"exceeds the range allowed for your plan \(\s*\S+\s*>\s*{_NUMBER}\s*\)", _cap),
    _rule("alchemy_cap", "Alchemy, Aurora", rf"up to an? {_NUMBER} block range", _cap),
    _rule("quicknode_cap", "QuickNode, 1RPC, Blast", rf"limited to an? {_NUMBER}(?: blocks?)? range", _cap),
    _rule("blockpi_cap", "BlockPI", rf"limited to {_NUMBER} blocks?", _cap),
    _rule("harmony_cap", "Harmony", rf"must be smaller than size {_NUMBER}", _cap),
    _rule("merkle_cap", "Merkle, Harmony", rf"max is {_NUMBER} blocks", _cap),
    _rule("tac_cap", "TAC", rf"maximum \[from, to\] blocks distance:?\s*{_NUMBER}", _cap),
    _rule("avalanche_cap", "Avalanche", rf"too many blocks from \S+ to \S+ maximum is set to {_NUMBER}", _cap),
    _rule("drpc_cap", "dRPC", rf"ranges over {_NUMBER} blocks are not supported", _cap),
    _rule("thirdweb_cap", "Thirdweb", rf"maximum allowed number of requested blocks is {_NUMBER}", _cap),
    _rule("coinbase_cap", "Coinbase", rf"limit the query to at most {_NUMBER} blocks", _cap),
    _rule("publicnode_cap", "PublicNode, geth forks, BSC", rf"maximum block range:?\s*{_NUMBER}", _cap),
    _rule("hyperliquid_cap", "Hyperliquid, Tron", rf"exceeds? max block range:?\s*{_NUMBER}", _cap),
    _rule("cloudflare_cap", "Cloudflare", rf"max range:\s*{_NUMBER}", _cap),
    _rule("sei_cap", "Sei", rf"maximum allowed is {_NUMBER} blocks", _cap),
    _rule("bor_cap", "Polygon bor", rf"range:\s*\S+\s*max:\s*{_NUMBER}", _cap),
    _rule("swell_cap", "Swell", rf"greater than {_NUMBER} max", _cap),
    _rule("simplyvc_cap", "SimplyVC", rf"too wide blocks range, the limit is {_NUMBER}", _cap),
    _rule("moonriver_cap", "Moonriver", rf"too wide \(maximum {_NUMBER}\)", _cap),
    _rule("somnia_cap", "Somnia", rf"range exceeds {_NUMBER}", _cap),
)

_DENSE: tuple[Rule, ...] = (
    _rule("infura_results", "Infura, Thirdweb, Tenderly", r"returned more than [\d,._']+ results", _dense),
    _rule("infura_slow", "Infura", r"query timeout exceeded", _dense),
    _rule("alchemy_size", "Alchemy", r"log response size exceeded", _dense),
    _rule("ankr_results", "Ankr, Llama, Altitude", r"query exceeds max results", _dense),
    _rule("arbitrum_logs", "Arbitrum", r"logs matched by query exceeds limit", _dense),
    _rule("onerpc_size", "1RPC", r"response size should not (?:be )?greater than", _dense),
    _rule("response_too_large", "Optimism", r"response (?:is )?too large", _dense),
)

_UNNAMED_CAPS: tuple[Rule, ...] = (
    _rule("ankr_wide", "Ankr", r"block range is too wide", _unnamed_cap),
    _rule("optimism_wide", "Optimism, Base, Monad", r"block range (?:is )?too large", _unnamed_cap),
    _rule("chainstack_cap", "Chainstack", r"block range limit exceeded", _unnamed_cap),
    _rule("erpc_cap", "eRPC", r"exceeded max allowed|range threshold exceeded", _unnamed_cap),
)

_CODES: tuple[Rule, ...] = (
    _rule("code_timed_out", "Linkpool, Blockdaemon, Chainstack", "", _dense, _CODE_TIMED_OUT),
    _rule("code_too_large", "geth, batches", "", _dense, _CODE_TOO_LARGE),
)

RULES: tuple[Rule, ...] = (*_NOT_ABOUT_THE_RANGE, *_SUGGESTED, *_CAPS, *_DENSE, *_UNNAMED_CAPS, *_CODES)
"""First what must never shrink; then what says most: a named range before a cap, a cap before "too large"."""


def rule_of(code: int, message: str) -> tuple[Rule, Outcome] | None:
    """The first row that knows a JSON-RPC error, and what the row makes of it."""
    for rule in RULES:
        if rule.code is None or rule.code == code:
            match = rule.pattern.search(message)
            if match is not None:
                return rule, rule.outcome(match)
    return None


def classify(code: int, message: str) -> Said | None:
    """What a JSON-RPC error says about the range that was asked for; None: nothing."""
    known = rule_of(code, message)
    if known is None or isinstance(known[1], NotAboutTheRange):
        return None
    return Said(known[0].name, known[1])
