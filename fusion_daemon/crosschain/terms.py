"""How long a message may take, per lane and stage, and what its gas should be worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fusion_daemon.crosschain.standing import Stage
from fusion_daemon.domain.identifiers import ChainId

MINUTE, HOUR = 60, 3_600


@dataclass(frozen=True, slots=True)
class LaneTerms:
    """Seconds from the block that began a stage until the message counts as stuck in it."""

    source_finality: int = 30 * MINUTE
    """From the source's block."""
    acceptance: int = HOUR
    """From the source's block too: the bridge waits for the same finality."""
    execution: int = 30 * MINUTE
    """From the first acceptance; where the bridge shows none, from the source's block with `acceptance` on top."""
    application: int = 10 * MINUTE
    retry: int = HOUR
    recovery: int = HOUR
    destination_finality: int = HOUR
    """From the application's event."""
    least_gas: int = 0
    """Wei of the source chain; less is GAS_LOW."""
    manual: int = 8 * HOUR
    """From CCIP's commit until anyone may execute what its network left alone: the off-ramp's own setting."""

    def of(self, stage: Stage) -> int:
        match stage:
            case Stage.SOURCE_FINALITY:
                return self.source_finality
            case Stage.ACCEPTANCE:
                return self.acceptance
            case Stage.EXECUTION:
                return self.execution
            case Stage.APPLICATION:
                return self.application
            case Stage.RETRY:
                return self.retry
            case Stage.RECOVERY:
                return self.recovery
            case Stage.DESTINATION_FINALITY:
                return self.destination_finality


@dataclass(frozen=True, slots=True)
class Terms:
    default: LaneTerms = LaneTerms()
    lanes: Mapping[tuple[ChainId, ChainId], LaneTerms] = field(default_factory=dict)
    """By (source, destination)."""
    orphan_grace: int = 10 * MINUTE
    """Seconds that a destination may be ahead of what is read of the source."""

    def of(self, source: ChainId, destination: ChainId) -> LaneTerms:
        return self.lanes.get((source, destination), self.default)
