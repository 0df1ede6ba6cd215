"""What a commit writes of coverage."""

from __future__ import annotations

from collections.abc import Iterable

from fusion_daemon.chain.coverage import Coverage
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.store.writes import Copy, Execute, Write

_CONTRACT_COLUMNS = ("chain_id", "address", "filter_version", "since_block", "origin")


def coverage_writes(chain: ChainId, before: Coverage, after: Coverage) -> Iterable[Write]:
    """From what is stored to what holds after the commit."""
    lost = [contract.address for contract in before.contracts if contract not in after.contracts]
    if lost:
        sql = "DELETE FROM chain_contracts WHERE chain_id = $1 AND address = ANY($2)"
        yield Execute(sql, (chain, lost), expect=len(lost))
    fresh = [contract for contract in after.contracts if contract not in before.contracts]
    if fresh:
        rows = [(chain, each.address, each.filter_version, each.since, each.origin) for each in fresh]
        yield Copy("chain_contracts", _CONTRACT_COLUMNS, rows)
    held, wanted = _rows(before), _rows(after)
    gone = held.keys() - wanted.keys()
    if gone:
        versions, firsts = zip(*sorted(gone), strict=True)
        yield Execute(
            "DELETE FROM chain_coverage USING unnest($2::integer[], $3::bigint[]) AS gone (filter_version, first)"
            " WHERE chain_id = $1 AND chain_coverage.filter_version = gone.filter_version"
            " AND chain_coverage.first = gone.first",
            (chain, versions, firsts),
            expect=len(gone),
        )
    moved = sorted((*key, last) for key, last in wanted.items() if held.get(key) != last)
    if moved:
        versions, firsts, lasts = zip(*moved, strict=True)
        yield Execute(
            "INSERT INTO chain_coverage (chain_id, filter_version, first, last)"
            " SELECT $1, * FROM unnest($2::integer[], $3::bigint[], $4::bigint[])"
            " ON CONFLICT (chain_id, filter_version, first) DO UPDATE SET last = excluded.last",
            (chain, versions, firsts, lasts),
        )


def _rows(coverage: Coverage) -> dict[tuple[int, int], int]:
    return {(version, each.first): each.last for version, ranges in coverage.ranges.items() for each in ranges}
