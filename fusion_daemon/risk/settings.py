"""What the risk room is told: limits of the two measures, hysteresis, and which token is which asset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, AssetId, ChainId, hex_of

BPS = 10_000


class RiskSettingsInvalid(Failure):
    """The limits contradict each other."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Lower bounds of one measure in basis points, falling. Below the last one is LIQUIDATION."""

    healthy: int
    warning: int
    margin_call: int

    def falling(self) -> tuple[int, int, int]:
        return self.healthy, self.warning, self.margin_call


SCORE_LIMITS = Limits(5_000, 3_000, 1_500)
HEALTH_LIMITS = Limits(15_000, 12_500, 10_000)


PRICE_LIFETIME = 180.0
PRICE_SLACK = 60.0
"""Seconds by which a publication may be late: a restart, a store that stalls."""


def price_lifetime(heartbeat: float) -> float:
    """Of a price that is published every `heartbeat` seconds: one publication may be missing."""
    return 2 * heartbeat + PRICE_SLACK


@dataclass(frozen=True, slots=True)
class RiskSettings:
    """Raises RiskSettingsInvalid unless the limits fall and a health factor below 1 is LIQUIDATION."""

    tokens: Mapping[tuple[ChainId, Address], AssetId]
    score: Limits = SCORE_LIMITS
    """Of the margin health score (collateral - debt) / debt."""
    health: Limits = HEALTH_LIMITS
    """Of the health factor; 10,000 is a health factor of 1."""
    hysteresis_bps: int = 200
    """A state gets better only when both measures reach the better level's bound x (1 + this)."""
    lifetimes: Mapping[AssetId, float] = field(default_factory=dict)
    """Seconds for which a published price stands for the present one; PRICE_LIFETIME where none is named."""
    locks: Mapping[tuple[ChainId, Address], Address] = field(default_factory=dict)
    """The contracts that hold locked collateral for its accounts, and the vault in which it lies."""
    assumed_threshold_bps: int = 7_500
    """Liquidation threshold at which a cure by deposit is quoted to an account without collateral."""
    interest_seconds: float = 60.0
    """How often debts are looked at for interest alone. Decides when, not what: not in the fingerprint."""
    fingerprint: str = field(init=False)
    """SHA-256 (hex) of everything above that decides a state, a figure or a confirmation, as canonical JSON."""

    def __post_init__(self) -> None:
        for limits in (self.score, self.health):
            if not limits.healthy > limits.warning > limits.margin_call > 0:
                raise _invalid(f"Risk limits {limits.falling()} do not fall from healthy to margin call.")
        if self.health.margin_call < BPS:
            raise _invalid(f"The margin-call limit of the health factor is {self.health.margin_call} bps.")
        if not 0 <= self.hysteresis_bps < BPS:
            raise _invalid(f"The hysteresis is {self.hysteresis_bps} bps.")
        object.__setattr__(self, "fingerprint", _fingerprint(self))

    def lifetime(self, asset: AssetId) -> float:
        """Seconds after its publication for which a price of the asset may confirm anything."""
        return self.lifetimes.get(asset, PRICE_LIFETIME)


def _invalid(happened: str) -> RiskSettingsInvalid:
    return RiskSettingsInvalid(
        happened,
        "With it an account could be liquidated on chain before anyone is warned.",
        "Correct [risk] in config.toml: falling limits, a last health factor limit of at least 10000, "
        "a hysteresis from 0 to 9999.",
    )


def _fingerprint(settings: RiskSettings) -> str:
    tokens = sorted((chain, hex_of(token), asset) for (chain, token), asset in settings.tokens.items())
    canonical = json.dumps(
        {
            "assumed_threshold_bps": settings.assumed_threshold_bps,
            "health_bps": settings.health.falling(),
            "hysteresis_bps": settings.hysteresis_bps,
            "lifetimes": sorted(settings.lifetimes.items()),
            "locks": sorted((chain, hex_of(lock), hex_of(vault)) for (chain, lock), vault in settings.locks.items()),
            "score_bps": settings.score.falling(),
            "tokens": tokens,
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(canonical.encode()).hexdigest()
