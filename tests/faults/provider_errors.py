"""What providers say when they refuse logs, one example or more for every rule of the catalogue.

The unit test of the rules and the fault proxy share this table: what the rules are proved on is what the listener is
then confronted with.
"""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.chain.range_rules import (
    ExactRange,
    NotAboutTheRange,
    Outcome,
    StructuralCap,
    TooDense,
)


@dataclass(frozen=True, slots=True)
class Refused:
    """The figures that a refusal may name."""

    first: int
    last: int
    """Of the range that was asked for."""
    good: int
    """The last block of the range from `first` that would be answered."""
    most: int
    """Blocks that the provider answers."""


@dataclass(frozen=True, slots=True)
class ProviderError:
    rule: str
    code: int
    text: str
    """With the names of `figures` in braces."""
    outcome: str
    status: int = 200
    """Of HTTP."""

    def message(self, refused: Refused) -> str:
        return self.text.format(
            first=refused.first,
            last=refused.last,
            good=refused.good,
            most=refused.most,
            asked=refused.last - refused.first + 1,
            dotted=f"{refused.most:,}".replace(",", "."),
        )

    def expected(self, refused: Refused) -> Outcome:
        match self.outcome:
            case "exact":
                return ExactRange(refused.first, refused.good)
            case "inverted":
                return ExactRange(refused.good, refused.first)
            case "cap":
                return StructuralCap(refused.most)
            case "unnamed":
                return StructuralCap(0)
            case "dense":
                return TooDense()
            case _:
                return NotAboutTheRange()


_ALCHEMY = (
    "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the"
    " response size, or you can request any block range with a cap of 10K logs in the response. Based on your"
    " parameters and the response size limit, this block range should work: [{range}]"
)
_INFURA = "query returned more than 10000 results. Try with this block range [0x{first:x}, 0x{good:X}]."


def _exact(rule: str, code: int, text: str, status: int = 200) -> ProviderError:
    return ProviderError(rule, code, text, "exact", status)


def _cap(rule: str, code: int, text: str, status: int = 200) -> ProviderError:
    return ProviderError(rule, code, text, "cap", status)


def _unnamed(rule: str, code: int, text: str, status: int = 200) -> ProviderError:
    return ProviderError(rule, code, text, "unnamed", status)


def _dense(rule: str, code: int, text: str, status: int = 200) -> ProviderError:
    return ProviderError(rule, code, text, "dense", status)


def _other(rule: str, code: int, text: str, status: int = 200) -> ProviderError:
    return ProviderError(rule, code, text, "other", status)


SUGGESTIONS: tuple[ProviderError, ...] = (
    _exact("alchemy_suggestion", -32602, _ALCHEMY.replace("{range}", "0x{first:x}, 0x{good:x}"), 400),
    _exact("infura_suggestion", -32005, _INFURA),
    _exact("infura_suggestion", -32005, "Try with this block range [{first}, {good}]."),
    _exact("llama_suggestion", -32000, "query exceeds max results 20000, retry with the range {first}-{good}"),
)

INVERTED: tuple[ProviderError, ...] = (
    ProviderError("alchemy_suggestion", -32602, _ALCHEMY.replace("{range}", "0x{good:x}, 0x{first:x}"), "inverted"),
    ProviderError("infura_suggestion", -32005, "Try with this block range [0x{good:x}, 0x{first:x}]", "inverted"),
    ProviderError("llama_suggestion", -32000, "retry with the range {good}-{first}", "inverted"),
)

CAPS: tuple[ProviderError, ...] = (
    _cap("blast_plan", -32000, "block range exceeds the range allowed for your plan ({asked} > {most})", 400),
    _cap(
        "alchemy_cap",
        -32600,
        "Under the Free tier plan, you can make eth_getLogs requests with up to a {most} block"
        " range. Based on your parameters, upgrade to PAYG for expanded block range.",
        400,
    ),
    _cap("alchemy_cap", -32000, "eth_getLogs supports up to a {most:,} block range"),
    _cap("quicknode_cap", -32614, "eth_getLogs is limited to a {most:,} range", 413),
    _cap("quicknode_cap", -32614, "eth_getLogs is limited to a {dotted} range"),
    _cap("quicknode_cap", -32602, "eth_getLogs is limited to a {most} blocks range"),
    _cap("blockpi_cap", -32602, "eth_getLogs is limited to {most} block range"),
    _cap("tac_cap", -32000, "maximum [from, to] blocks distance: {most}"),
    _cap("avalanche_cap", -32000, "requested too many blocks from {first} to {last}, maximum is set to {most}"),
    _cap("drpc_cap", 35, "ranges over {most} blocks are not supported on freetier", 400),
    _cap(
        "cloudflare_cap",
        -32047,
        "Invalid eth_getLogs request. 'fromBlock'-'toBlock' range too large. Max range: {most}",
    ),
    _cap("thirdweb_cap", -32602, "Maximum allowed number of requested blocks is {most:,}"),
    _cap("coinbase_cap", -32602, "please limit the query to at most {most} blocks"),
    _cap("publicnode_cap", -32701, "exceed maximum block range: {most}", 403),
    _cap("publicnode_cap", -32000, "exceed maximum block range: {most}"),
    _cap("publicnode_cap", -32000, "query exceeds maximum block range: {most:,}"),
    _cap("hyperliquid_cap", -32602, "query exceeds max block range {most}"),
    _cap("hyperliquid_cap", -32600, "exceed max block range: {most}"),
    _cap("sei_cap", -32000, "block range too large ({asked}), maximum allowed is {most} blocks"),
    _cap("bor_cap", -32005, "block range too large, range: {asked}, max: {most}"),
    _cap("swell_cap", -32000, "block range greater than {most} max"),
    _cap("somnia_cap", -32000, "block range exceeds {most}"),
    _cap("simplyvc_cap", -32000, "too wide blocks range, the limit is {most}"),
    _cap("moonriver_cap", -32603, "block range is too wide (maximum {most})"),
    _cap("harmony_cap", -32000, "query must be smaller than size {most}"),
    _cap("merkle_cap", -32000, "max is {most} blocks"),
)

UNNAMED_CAPS: tuple[ProviderError, ...] = (
    _unnamed("ankr_wide", -32600, "block range is too wide"),
    _unnamed("optimism_wide", -32000, "Block range is too large"),
    _unnamed("optimism_wide", -32000, "block range too large"),
    _unnamed("chainstack_cap", -32000, "Block range limit exceeded. See more details at the documentation."),
    _unnamed("erpc_cap", -32012, "range threshold exceeded"),
    _unnamed("erpc_cap", -32012, "getLogs request exceeded max allowed range"),
)

DENSE: tuple[ProviderError, ...] = (
    _dense("infura_results", -32005, "query returned more than 10,000 results"),
    _dense("infura_results", -32005, "query returned more than 10000 results"),
    _dense("infura_slow", -32005, "query timeout exceeded. Consider reducing your block range."),
    _dense("alchemy_size", -32008, "Log response size exceeded.", 400),
    _dense("ankr_results", -32000, "query exceeds max results 10000"),
    _dense("arbitrum_logs", -32000, "logs matched by query exceeds limit of 10000"),
    _dense("onerpc_size", -32000, "response size should not greater than 10000000 bytes"),
    _dense("response_too_large", -32020, "backend response too large"),
    _dense("code_too_large", -32003, "batch answer over the limit"),
    _dense("code_timed_out", -32002, "request timed out", 503),
)

NOT_ABOUT_THE_RANGE: tuple[ProviderError, ...] = (
    _other("height_not_available", -32000, "height 1200 is not available, lowest height is 9000"),
    _other("height_not_available", -32000, "height is not available"),
    _other("header_not_found", -32000, "header not found"),
    _other("block_not_there_yet", -32000, "upstream does not have the requested block yet"),
    _other("missing_trie_node", -32000, "missing trie node 5e6d (path ) <nil>"),
    _other("unknown_block", -32000, "unknown block"),
    _other("hyperliquid_missing_blocks", -32602, "invalid block range"),
    _other("no_healthy_backend", -32011, "no backend is currently healthy to serve traffic", 503),
    _other("beyond_head", -32602, "block range extends beyond current head block"),
    _other("beyond_head", -32602, "BlockOutOfRangeError: block height is 5 but requested was 10"),
    _other("specify_address", -32701, "Please specify an address in your request"),
    _other("data_not_available", -32043, "Requested data is not available"),
    _other("api_key", -32052, "API key is not allowed to access this blockchain", 403),
    _other("compute_units", 42903, "you are out of compute units"),
    _other("request_rate", -32005, "daily request count exceeded, request rate limited", 429),
)

CATALOGUE: tuple[ProviderError, ...] = (
    *SUGGESTIONS,
    *INVERTED,
    *CAPS,
    *UNNAMED_CAPS,
    *DENSE,
    *NOT_ABOUT_THE_RANGE,
)
