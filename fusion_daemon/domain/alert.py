"""An alert: what a human is told, whatever room found it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from fusion_daemon.domain.identifiers import AccountId


class Severity(IntEnum):
    INFO = 0
    WARNING = 1
    CRITICAL = 2
    """May not wait: its deliveries are committed together with it."""


@dataclass(frozen=True, slots=True)
class Alert:
    id: str
    """Stable over retries and restarts, without dots: `mrg_<account digest>_<episode>_<step>`."""
    type: str
    """Dotted, `[a-z0-9_.]`: `margin.opened`, `margin.corrected`, `chain.stalled` …"""
    severity: Severity
    account: AccountId | None
    occurred_at: int
    """Unix seconds of the fact, not of the sending."""
    summary: str
    data: bytes
    """A JSON object: the machine-readable body."""
