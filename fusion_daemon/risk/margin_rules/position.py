"""What an account holds and owes, as every set of rules reads it. Immutable; a change gives another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fusion_daemon.domain.price import USD_DECIMALS
from fusion_daemon.risk.margin import RAY, collateral_value, debt_value


@dataclass(frozen=True, slots=True)
class Quote:
    """USD for one whole unit of an asset: price / 10^decimals."""

    price: int
    decimals: int

    def times(self, numerator: int, decimals: int) -> Quote:
        """x numerator / 10^decimals, exactly."""
        return Quote(self.price * numerator, self.decimals + decimals)


@dataclass(frozen=True, slots=True)
class Pool:
    """Of which a debt is shares: Morpho Blue's totals, without its virtual ones."""

    borrowed_assets: int
    borrowed_shares: int


@dataclass(frozen=True, slots=True)
class CollateralLeg:
    asset: str
    scaled: int
    index: int
    """Ray: the balance in base units is scaled x index / 1e27, rounded as the rules say."""
    decimals: int
    quote: Quote
    threshold_bps: int
    """Up to which it bears debt before it may be liquidated."""
    ltv_bps: int
    """Up to which it lets its owner borrow."""

    def usd_down(self, balance: int) -> int:
        return collateral_value(balance, *_usd_per(self))

    def holding(self, balance: int) -> CollateralLeg:
        return replace(self, scaled=balance, index=RAY)


@dataclass(frozen=True, slots=True)
class DebtLeg:
    asset: str
    scaled: int
    """Shares if there is a pool."""
    index: int
    decimals: int
    quote: Quote
    pool: Pool | None = None

    def usd_down(self, balance: int) -> int:
        return collateral_value(balance, *_usd_per(self))

    def usd_up(self, balance: int) -> int:
        return debt_value(balance, *_usd_per(self))

    def units_down(self, usd: int) -> int:
        """Base units for so much USD x 1e8."""
        price, decimals = _usd_per(self)
        unit: int = 10**decimals
        return usd * unit // price

    def owing(self, balance: int) -> DebtLeg:
        return replace(self, scaled=balance, index=RAY, pool=None)


Leg = CollateralLeg | DebtLeg


def _usd_per(leg: Leg) -> tuple[int, int]:
    """The price and the decimals that make USD x 1e8 of base units in one division."""
    quote = leg.quote
    shift = USD_DECIMALS - quote.decimals
    if shift >= 0:
        return quote.price * 10**shift, leg.decimals
    return quote.price, leg.decimals - shift


@dataclass(frozen=True, slots=True)
class Position:
    """INVARIANT: no leg is empty, so that every price in here is one that the account needs; and an asset has the same
    quote in all its legs."""

    collateral: tuple[CollateralLeg, ...]
    debt: tuple[DebtLeg, ...]

    @property
    def legs(self) -> tuple[Leg, ...]:
        return (*self.collateral, *self.debt)

    def requoted(self, change: Callable[[Leg], Quote]) -> Position:
        return Position(
            tuple(replace(leg, quote=change(leg)) for leg in self.collateral),
            tuple(replace(leg, quote=change(leg)) for leg in self.debt),
        )

    def parted(self, mine: Callable[[Leg], bool]) -> tuple[Position, Position]:
        """The legs of which it is true, and the others."""
        return (
            Position(tuple(filter(mine, self.collateral)), tuple(filter(mine, self.debt))),
            Position(
                tuple(leg for leg in self.collateral if not mine(leg)), tuple(leg for leg in self.debt if not mine(leg))
            ),
        )

    def joined(self, other: Position) -> Position:
        return Position(self.collateral + other.collateral, self.debt + other.debt)
