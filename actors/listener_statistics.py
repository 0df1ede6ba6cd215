"""What a chain's listener counts, for its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.chain_audit import AuditStatistics
from fusion_daemon.chain.blocks import Header, Span
from fusion_daemon.chain.coverage import Coverage, size_of
from fusion_daemon.chain.journal import Plan, StoredLogs
from fusion_daemon.chain.range_rules import Reason
from fusion_daemon.chain.rpc_endpoints import EndpointStatistics
from fusion_daemon.chain.rpc_heads import HeadStatistics
from fusion_daemon.domain.journal import BlockRef


@dataclass(slots=True)
class ListenerStatistics:
    """Counters since this life of the actor began, and where it stands."""

    blocks: int = 0
    logs: int = 0
    undecodable: int = 0
    """Logs of a known event whose arguments are not as its ABI says; they are stored raw."""
    repaired: int = 0
    """Blocks whose logs a node had left out of a range answer."""
    splits: dict[tuple[Reason, str], int] = field(default_factory=dict)
    """Ranges that an endpoint refused or did not answer, by reason and rule."""
    dense: int = 0
    """Steps that ended at a single block whose logs no way gave."""
    reorgs: int = 0
    orphaned: int = 0
    """Blocks that they took away, and …"""
    deepest_reorg: int = 0
    """… how many one of them took at most."""
    orphaned_logs: int = 0
    """Logs of those blocks."""
    reorg_seconds: float = 0.0
    """From when each was noticed until the new branch was committed, all together."""
    rate_limits: int = 0
    faults: int = 0
    tip: int | None = None
    tip_timestamp: int | None = None
    head: int | None = None
    head_timestamp: int | None = None
    finalized: int | None = None
    missing: int = 0
    """Blocks up to the tip of which some contract's logs were not read yet."""
    skipped: int = 0
    """Blocks up to the tip whose logs are left out by an operator's order."""
    endpoints: tuple[EndpointStatistics, ...] = ()
    announced: HeadStatistics = field(default_factory=HeadStatistics)
    audit: AuditStatistics = field(default_factory=AuditStatistics)

    def committed(self, plan: Plan, span: Span) -> None:
        """`span`: what was read for that plan."""
        tip = plan.view.tip
        if tip is None:
            return  # skips that are in force before the first block is stored
        self.tip = tip.number
        self.tip_timestamp = tip.timestamp
        self.finalized = plan.view.finalized
        self.undecodable += plan.undecodable
        self.blocks += len(span.headers)
        self.read(plan.view.coverage, tip.number)
        self.logs += len(span.logs)
        self.repaired += span.repaired

    def read(self, coverage: Coverage, tip: int) -> None:
        """What was read up to the tip, and what was not."""
        self.missing = coverage.missing(tip)
        self.skipped = size_of(coverage.skips(tip))

    def headed(self, head: Header) -> None:
        """An endpoint said that this is its head."""
        self.head, self.head_timestamp = head.number, head.timestamp

    def reorganised(self, lost: Sequence[BlockRef], stored: StoredLogs, seconds: float) -> None:
        """These blocks were taken away; `stored` holds their logs."""
        self.reorgs += 1
        self.orphaned += len(lost)
        self.deepest_reorg = max(self.deepest_reorg, len(lost))
        self.orphaned_logs += sum(len(stored.get(block.hash, ())) for block in lost)
        self.reorg_seconds += seconds

    def split(self, reason: Reason, rule: str) -> None:
        """An endpoint refused a range, or did not answer."""
        self.splits[reason, rule] = self.splits.get((reason, rule), 0) + 1
