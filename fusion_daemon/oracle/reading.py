"""What a source said, or why it is not listened to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """A figure that passed every check that does not depend on the hour."""

    source: str
    """The source's name in the settings."""
    independence: str
    """Sources of one class are likely to fail together: a class has one vote."""
    usd: int
    """USD x 1e8, > 0."""
    observed_at: int
    """Unix seconds, the source's own."""
    received_at: float
    """Unix seconds: when we read it."""
    lifetime: float
    """Seconds after `observed_at` for which the source vouches for it."""
    round_id: int | None
    digest: str
    """SHA-256 (hex) of the raw payload."""

    def precedes(self, other: Reading) -> bool:
        """Whether it is an earlier round than `other`, and says so by number and by time: after a change of phase
        numbers jump ahead, and a round may be as old as the one before it."""
        if self.round_id is None or other.round_id is None:
            return False
        return (
            self.round_id <= other.round_id
            and self.observed_at <= other.observed_at
            and (self.round_id, self.observed_at) != (other.round_id, other.observed_at)
        )


@dataclass(frozen=True, slots=True)
class Rejection:
    source: str
    reason: str


Outcome = Reading | Rejection
