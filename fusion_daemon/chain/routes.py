"""HTTP: where each chain's listener stands, and from where it starts to read. Handlers run on the asyncio
side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import msgspec

from fusion_daemon.accounts.audit import AuditEntry, By, detail_of
from fusion_daemon.accounts.repository import write_audit
from fusion_daemon.aio import Aio
from fusion_daemon.chain.coverage import Contract, Coverage, Ranges
from fusion_daemon.chain.order_views import skip_view
from fusion_daemon.chain.repository import (
    ChainStatus,
    StartBlockRefused,
    load_differing,
    load_statuses,
    load_tip_and_coverage,
    set_start_block,
)
from fusion_daemon.chain.repository_orders import load_skips
from fusion_daemon.domain.identifiers import ChainId, hex_of
from fusion_daemon.http.body import body_as
from fusion_daemon.http.problem import invalid, not_found
from fusion_daemon.http.route import Reply, Request, Role, Route, Routes, reply_json
from fusion_daemon.store import Reader, Store

_CHOICE_SECONDS = 10.0
_MOST_DIFFERENCES = 100


class StartBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/chains/{id}/start-block."""

    block: int


def routes(aio: Aio, store: Store, names: Mapping[ChainId, str]) -> Routes:
    """`names`: the configured chains, whether or not anything of them is stored."""

    async def list_chains(_request: Request) -> Reply:
        stored = {status.chain: status for status in await store.query(load_statuses)}
        return reply_json(
            {"chains": [_described(chain, name, stored.get(chain)) for chain, name in sorted(names.items())]}
        )

    async def show_differences(request: Request) -> Reply:
        chain = configured_chain(request.path["id"], names)
        found = await store.query(load_differing, chain, _MOST_DIFFERENCES)
        return reply_json({"chain_id": chain, "differences": [asdict(each) for each in found]})

    async def show_coverage(request: Request) -> Reply:
        chain = configured_chain(request.path["id"], names)
        tip, coverage = await store.query(load_tip_and_coverage, chain)
        skips = [skip_view(skip) for skip in await store.query(load_skips, chain)]
        return reply_json({**_covered(chain, tip, coverage), "skips": skips})

    async def choose(chain: ChainId, block: int, by: By) -> None:
        """trio side: a write takes an actor's way to the store, where HTTP traffic cannot crowd it out."""
        await store.transact(_choose, chain, block, by, timeout=_CHOICE_SECONDS)

    async def start_chain(request: Request) -> Reply:
        chain = configured_chain(request.path["id"], names)
        body = body_as(request, StartBlock)
        if not 0 <= body.block < 2**63:
            raise invalid("A block number is not negative and fits 63 bits.")
        by = By(request.caller().name, request.request_id)
        await aio.to_trio(choose, chain, body.block, by, timeout=_CHOICE_SECONDS)
        return reply_json({"chain_id": chain, "start_block": body.block})

    return (
        Route("GET", "/v1/chains", list_chains, "Every configured chain and where its listener stands"),
        Route(
            "GET",
            "/v1/chains/{id}/coverage",
            show_coverage,
            "Whose logs of a chain are read, and of which blocks they were",
        ),
        Route(
            "GET",
            "/v1/chains/{id}/differences",
            show_differences,
            "Stored logs of final blocks that endpoints do not have, or have otherwise",
        ),
        Route(
            "POST",
            "/v1/chains/{id}/start-block",
            start_chain,
            "Choose the first block to read; refused once the chain has been read",
            Role.OPERATOR,
            {StartBlockRefused: 409},
        ),
    )


async def _choose(writer: Reader, chain: ChainId, block: int, by: By) -> None:
    """The choice and its audit row, in one transaction. asyncio side."""
    await set_start_block(writer, chain, block)
    detail = detail_of({"block": block})
    await write_audit(writer, AuditEntry(by, "chain.start_block", str(chain), "done", detail))


def configured_chain(text: str, names: Mapping[ChainId, str]) -> ChainId:
    if text.isdecimal() and ChainId(int(text)) in names:
        return ChainId(int(text))
    raise not_found(f"configured chain {text}", "GET /v1/chains lists the chains; each goes by its number.")


def _covered(chain: ChainId, tip: int | None, coverage: Coverage) -> dict[str, object]:
    filters = [
        {
            "filter_version": version,
            "contracts": [_contract(each) for each in coverage.contracts if each.filter_version == version],
            "covered": _ranges(covered),
            "missing": _ranges(() if tip is None else coverage.gaps(version, tip)),
            "skipped": _ranges(() if tip is None else coverage.left_out(version, tip)),
        }
        for version, covered in sorted(coverage.ranges.items())
    ]
    return {"chain_id": chain, "tip": tip, "filters": filters}


def _contract(contract: Contract) -> dict[str, object]:
    origin = None if contract.origin is None else hex_of(contract.origin)
    return {"address": hex_of(contract.address), "since_block": contract.since, "origin": origin}


def _ranges(ranges: Ranges) -> list[dict[str, int]]:
    return [{"first": each.first, "last": each.last} for each in ranges]


def _described(chain: ChainId, name: str, status: ChainStatus | None) -> dict[str, object]:
    if status is None:
        return {"chain_id": chain, "name": name, "start_block": None, "tip": None, "latched": None}
    tip = None
    if status.tip_number is not None and status.tip_hash is not None:
        tip = {"number": status.tip_number, "hash": hex_of(status.tip_hash)}
    return {
        "chain_id": chain,
        "name": name,
        "start_block": status.start_block,
        "tip": tip,
        "head": status.head,
        "safe": status.safe,
        "finalized": status.finalized,
        "latched": status.latched,
        "audited": status.audited,
        "differing": status.differing,
        "updated_at": status.updated_at,
    }
