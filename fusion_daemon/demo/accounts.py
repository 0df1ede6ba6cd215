"""Who plays: accounts, and how far each has borrowed."""

from __future__ import annotations

from dataclasses import dataclass

from eth_utils.crypto import keccak

from fusion_daemon.domain.identifiers import Address

_FIRST_BORROWED_BPS = 4_000
_LAST_BORROWED_BPS = 7_200


@dataclass(frozen=True, slots=True)
class Player:
    """Deposits WETH on `home` and borrows USDC on `away` (indexes of the two chains)."""

    id: str
    customer: str
    addresses: tuple[Address, Address]
    home: int
    collateral: int
    """WETH base units (1e18)."""
    borrowed_bps: int
    """Debt over collateral value at the opening price."""

    @property
    def away(self) -> int:
        return 1 - self.home


def players(count: int) -> list[Player]:
    """`count` accounts, leverage rising evenly from 40 % to 72 %, alternating in direction."""
    spread = _LAST_BORROWED_BPS - _FIRST_BORROWED_BPS
    return [
        Player(
            id=f"acct-{index:04d}",
            customer=f"Customer {index:04d}",
            addresses=(_address(index), _address(index)),
            home=index % 2,
            collateral=(5 + index % 7) * 10**18,
            borrowed_bps=_FIRST_BORROWED_BPS + spread * index // max(count - 1, 1),
        )
        for index in range(count)
    ]


def _address(index: int) -> Address:
    """The same on both chains: credit that is granted there belongs to the address that locked here."""
    return Address(keccak(text=f"fusion prime demo account {index}")[12:])
