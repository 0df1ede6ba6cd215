"""The rows that an audit leaves behind. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from fusion_daemon.chain.audit import Difference, Stretch
from fusion_daemon.chain.coverage import Range
from fusion_daemon.chain.repair import Record
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.store.writes import Copy, Execute, Write


def difference_writes(
    chain: ChainId, compared: Range, differences: Sequence[Difference], names: Sequence[str]
) -> tuple[Write, ...]:
    """What differs among the blocks that were compared, in the place of what was found there before. `names`: of the
    endpoints."""
    gone = Execute(
        "DELETE FROM chain_differences WHERE chain_id = $1 AND block_number BETWEEN $2 AND $3",
        (chain, compared.first, compared.last),
    )
    if not differences:
        return (gone,)
    columns = ("chain_id", "block_number", "log_index", "block_hash", "endpoint")
    rows = [(chain, each.block.number, each.log_index, each.block.hash, names[each.endpoint]) for each in differences]
    return gone, Copy("chain_differences", columns, rows)


def audit_record(
    chain: ChainId, stretch: Stretch, differences: Sequence[Difference], names: Sequence[str]
) -> Record:
    """That a stretch was audited, and what was found."""
    versions = list(stretch.versions)
    mark = Execute(
        "INSERT INTO chain_audits (chain_id, filter_version, audited) SELECT $1, unnest($2::integer[]), $3"
        " ON CONFLICT (chain_id, filter_version) DO UPDATE SET audited = excluded.audited",
        (chain, versions, stretch.range.last),
    )
    proof = Execute(
        "SELECT count(*) = cardinality($2::integer[]) FROM chain_audits"
        " WHERE chain_id = $1 AND filter_version = ANY($2) AND audited >= $3",
        (chain, versions, stretch.range.last),
    )
    return Record((*difference_writes(chain, stretch.range, differences, names), mark), proof)
