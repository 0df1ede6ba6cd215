"""One cross-chain picture of every account: positions, registers, prices, and who owns what.

INVARIANT: the picture is the fold of each chain's journal up to `chains[chain].seq`. `unwind` is the exact
inverse of `fold`, so a picture read at a journal's head can be taken back to any earlier cursor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fusion_daemon.domain.account import AccountRecord
from fusion_daemon.domain.identifiers import AccountId, Address, AssetId, ChainId, unregistered
from fusion_daemon.domain.journal import (
    AssetParameters,
    BalanceChange,
    CreditChange,
    IndexUpdate,
    JournalEntry,
    Op,
    Register,
    Side,
)
from fusion_daemon.domain.margin import ChainInput
from fusion_daemon.domain.price import Price
from fusion_daemon.risk.registers import CreditLine, Market

Owner = tuple[ChainId, Address]
LegKey = tuple[Market, Side]
NO_LOCKS: Mapping[tuple[ChainId, Address], Address] = {}


@dataclass(slots=True)
class Touched:
    """Whose health an entry may have moved."""

    accounts: dict[AccountId, None] = field(default_factory=dict)
    """In order of appearance, so that a fold is deterministic."""
    markets: dict[Market, None] = field(default_factory=dict)
    """All holders of these."""

    def add(self, other: Touched) -> None:
        self.accounts.update(other.accounts)
        self.markets.update(other.markets)


@dataclass(frozen=True, slots=True)
class Leg:
    """One nonzero position."""

    market: Market
    side: Side
    owner: Owner
    amount: int
    """Base units; scaled for DEBT."""


class Portfolio:
    """Mutable, but pure: no clock, no I/O.

    INVARIANT: locked collateral counts once, for the account that locked it. What a lock contract holds of an account
    is a holding of the vault's market; what the vault says the lock contract itself holds is nobody's.
    """

    def __init__(
        self,
        tokens: Mapping[tuple[ChainId, Address], AssetId],
        chains: Iterable[ChainId],
        locks: Mapping[tuple[ChainId, Address], Address] = NO_LOCKS,
    ) -> None:
        self.prices: dict[AssetId, Price] = {}
        self.price_seq = 0
        self.priced_at = 0
        """Unix seconds of the last price folded; 0: none yet."""
        self.chains = {chain: ChainInput(chain, 0, 0) for chain in chains}
        self.start_heads: Mapping[ChainId, int] = {}
        """Where the journals stood when the picture was read: up to there a retract may take anything back."""
        self.records: dict[AccountId, AccountRecord] = {}
        self.markets: list[Market] = []
        self.dirty: dict[AccountId, None] = {}
        """Accounts whose legs or owners changed; whoever mirrors them clears this."""
        self._tokens = tokens
        self._locks = locks
        self._market_of: dict[tuple[ChainId, Address, Address], Market] = {}
        self._account_of: dict[Owner, AccountId] = {}
        self._owners: dict[AccountId, dict[Owner, None]] = {}
        self._legs: dict[Owner, dict[LegKey, int]] = {}
        self._credit: dict[Owner, dict[Address, CreditLine]] = {}
        self._holders: dict[Market, dict[Owner, int]] = {}
        """How many sides (1 or 2) of the market an owner holds."""

    # Who

    def register(self, record: AccountRecord) -> Touched:
        """The registry's record of an account is now this one. Addresses it gave up are unregistered."""
        touched = Touched()
        known = self.records.get(record.account)
        self.records[record.account] = record
        for owner in () if known is None else known.addresses:
            if owner not in record.addresses and self._account_of.get(owner) == record.account:
                self._move(owner, unregistered(*owner), touched)
        for owner in record.addresses:
            if self._account_of.get(owner) != record.account:
                self._move(owner, record.account, touched)
        return touched

    def _move(self, owner: Owner, account: AccountId, touched: Touched) -> None:
        former = self._account_of.get(owner)
        if former is not None:
            del self._owners[former][owner]
            touched.accounts[former] = None
        self._account_of[owner] = account
        self._owners.setdefault(account, {})[owner] = None
        touched.accounts[account] = None
        self.dirty.update(touched.accounts)

    def account_of(self, owner: Owner) -> AccountId:
        account = self._account_of.get(owner)
        if account is None:
            account = self._account_of[owner] = unregistered(*owner)
            self._owners.setdefault(account, {})[owner] = None
        return account

    @property
    def account_count(self) -> int:
        return len(self._owners)

    def knows(self, account: AccountId) -> bool:
        return account in self._owners

    def accounts(self) -> Iterator[AccountId]:
        return iter(self._owners)

    # What

    def legs(self, account: AccountId) -> Iterator[Leg]:
        """Nonzero positions. A sum below zero (a log that the node withheld) counts as nothing."""
        for owner in self._owners.get(account, ()):
            for (market, side), amount in self._legs.get(owner, {}).items():
                if amount > 0:
                    yield Leg(market, side, owner, amount)

    def credit(self, account: AccountId) -> int:
        """Credit lines in force, USD x 1e8."""
        lines = (self._credit.get(owner, {}) for owner in self._owners.get(account, ()))
        return sum(line.limit for vaults in lines for line in vaults.values())

    def market(self, chain: ChainId, vault: Address, token: Address) -> Market:
        vault = self._locks.get((chain, vault), vault)
        key = (chain, vault, token)
        market = self._market_of.get(key)
        if market is None:
            market = Market(chain, vault, token, self._tokens.get((chain, token)), len(self.markets))
            self._market_of[key] = market
            self._holders[market] = {}
            self.markets.append(market)
        return market

    def markets_of(self, asset: AssetId) -> list[Market]:
        return [market for market in self.markets if market.asset == asset]

    def markets_at(self, chain: ChainId, contracts: Iterable[Address]) -> list[Market]:
        """Of vaults, and of those that lock what is in vaults."""
        vaults = {self._locks.get((chain, contract), contract) for contract in contracts}
        return [market for market in self.markets if market.chain == chain and market.vault in vaults]

    def holder_count(self, markets: Iterable[Market]) -> int:
        """At least the number of accounts that hold one of these."""
        return sum(len(self._holders[market]) for market in markets)

    def holders(self, markets: Iterable[Market]) -> dict[AccountId, None]:
        return {self._account_of[owner]: None for market in markets for owner in self._holders[market]}

    def holds(self, account: AccountId, markets: Sequence[Market]) -> bool:
        owners = self._owners.get(account, {})
        return any(owner in self._holders[market] for market in markets for owner in owners)

    def unvalued(self) -> list[Market]:
        """Markets that somebody holds and that have no value yet: no asset, no price or no parameters."""
        return [
            market
            for market in self.markets
            if self._holders[market]
            and (market.asset is None or market.asset not in self.prices or market.parameters.last is None)
        ]

    # Folding

    def set_price(self, price: Price) -> None:
        self.prices[price.asset] = price
        self.price_seq = price.seq
        self.priced_at = price.published_at

    def fold(self, entry: JournalEntry) -> Touched:
        """Apply or retract an entry and move the chain's place to it. Raises JournalMismatch.

        INVARIANT: no history is trimmed before the journal is past its head of the start. So retracts
        that were pending then find every value they take away, however deep the reorg was, and a life
        that JournalMismatch ended is not followed by another one that ends the same way.
        """
        touched = self._change(entry, forward=entry.op is Op.APPLY)
        self.chains[entry.chain] = place_of(entry, self.chains[entry.chain].block)
        if entry.op is Op.APPLY and entry.seq > self.start_heads.get(entry.chain, 0):
            for change in entry.changes:
                if isinstance(change, IndexUpdate):
                    self.market(entry.chain, change.vault, change.token).index.trim()
        return touched

    def unwind(self, entries: Sequence[JournalEntry]) -> None:
        """Take entries of one chain's journal (ascending) back again, the last one first.

        The caller then says where the chain stands: `chains[chain] = …`.
        """
        for entry in reversed(entries):
            self._change(entry, forward=entry.op is Op.RETRACT)

    def _change(self, entry: JournalEntry, *, forward: bool) -> Touched:
        touched = Touched()
        chain = entry.chain
        for change in entry.changes:
            if isinstance(change, BalanceChange):
                amount = change.amount if forward else -change.amount
                market = self.market(chain, change.vault, change.token)
                self.move_balance((chain, change.owner), market, change.side, amount, touched)
            else:
                self._set_register(entry, change, touched, forward=forward)
        return touched

    def move_balance(self, owner: Owner, market: Market, side: Side, amount: int, touched: Touched) -> None:
        if owner in self._locks:
            return
        legs = self._legs.setdefault(owner, {})
        key = (market, side)
        before = legs.get(key, 0)
        after = before + amount
        if after:
            legs[key] = after
        else:
            legs.pop(key, None)
        if (before > 0) != (after > 0):
            held = self._holders[market].get(owner, 0) + (1 if after > 0 else -1)
            if held:
                self._holders[market][owner] = held
            else:
                del self._holders[market][owner]
        self._touch(owner, touched)

    def _set_register(self, entry: JournalEntry, change: Register, touched: Touched, *, forward: bool) -> None:
        block, time = entry.block.number, entry.block.timestamp
        if isinstance(change, CreditChange):
            line = self.credit_line((entry.chain, change.owner), change.vault)
            line.history.set(block, change.log_index, change, forward=forward)
            return
        market = self.market(entry.chain, change.vault, change.token)
        if isinstance(change, AssetParameters):
            market.parameters.set(block, change.log_index, change, forward=forward)
            touched.markets[market] = None
            return
        before = market.index_at(time)
        market.index.set(block, change.log_index, change, forward=forward)
        # An accrual that says what the rate before it already foretold moves nobody.
        if market.index_at(time) != before:
            touched.markets[market] = None

    def put_register(self, chain: ChainId, block: int, value: Register) -> None:
        """One value of a snapshot."""
        if isinstance(value, CreditChange):
            self.credit_line((chain, value.owner), value.vault).history.put(block, value.log_index, value)
        elif isinstance(value, AssetParameters):
            self.market(chain, value.vault, value.token).parameters.put(block, value.log_index, value)
        else:
            self.market(chain, value.vault, value.token).index.put(block, value.log_index, value)

    def _touch(self, owner: Owner, touched: Touched) -> None:
        account = self.account_of(owner)
        touched.accounts[account] = None
        self.dirty[account] = None

    def credit_line(self, owner: Owner, vault: Address) -> CreditLine:
        self.account_of(owner)  # known from now on, though nobody's health depends on it
        return self._credit.setdefault(owner, {}).setdefault(vault, CreditLine())


def place_of(entry: JournalEntry, height: int) -> ChainInput:
    """Where a chain that stands at `height` stands after an entry: at its block, or the parent's after a retract. Late
    history leaves it where it is."""
    if entry.late:
        return ChainInput(entry.chain, entry.seq, height)
    number = entry.block.number if entry.op is Op.APPLY else entry.block.number - 1
    return ChainInput(entry.chain, entry.seq, number)
