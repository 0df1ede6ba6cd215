"""What one bridge shows of a message, in the terms that all bridges share."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from fusion_daemon.crosschain.evidence import Place
from fusion_daemon.crosschain.standing import Flag, State


class Outcome(Enum):
    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(slots=True)
class Trace:
    """Only genuine evidence, but for `forged`. Filled by the bridges' readers, then read by the judgement."""

    sources: list[Place] = field(default_factory=list)
    accepted: list[tuple[Place, State]] = field(default_factory=list)
    """APPROVED by Axelar or COMMITTED by CCIP: a message that was resent may have gone over both."""
    resent: list[Place] = field(default_factory=list)
    outcomes: list[tuple[Place, Outcome]] = field(default_factory=list)
    forged: list[Place] = field(default_factory=list)
    flags: set[Flag] = field(default_factory=set)
    silent: bool = False
    """Some bridge that carries it shows no acceptance before it executes (CCIP 2.0)."""
