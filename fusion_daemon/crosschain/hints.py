"""What a bridge's own explorer says of a message: a second opinion that explains and never decides.

INVARIANT: a hint changes no state. Gas, error texts and whether anyone may execute by hand are shown beside the
evidence from the chains; a hint that contradicts the chains is shown as well, for that is worth knowing.
"""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.domain.failure import Failure

LONGEST_ERROR = 500
"""Characters of a foreign error text that are kept."""


class HintUnavailable(Failure):
    """The explorer could not be asked, or its answer was none."""


@dataclass(frozen=True, slots=True)
class Hint:
    source: str
    """`axelarscan` or `ccip`."""
    status: str
    """In the explorer's own words; what it will say tomorrow passes through."""
    gas: str | None = None
    """`gas_unpaid`, `gas_paid_not_enough_gas` …: Axelar alone tells."""
    error: str | None = None
    ready_for_manual_execution: bool | None = None
    """CCIP alone tells."""


def shortened(text: str) -> str:
    """Printable and bounded, for it is shown and stored."""
    kept = "".join(each if each.isprintable() else " " for each in text[: 2 * LONGEST_ERROR])
    return " ".join(kept.split())[:LONGEST_ERROR]
