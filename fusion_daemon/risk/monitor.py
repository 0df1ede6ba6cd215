"""The core of margining: folds prices, journal entries and registry changes into margin events.

INVARIANT: what comes out depends on the order of the inputs alone, not on how they were batched; and
only accounts whose health an input may have moved are looked at. Of many, floats pick out those whose
state could differ (`screen`); every state is decided in integers (`margin`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from fusion_daemon.domain.account import AccountRecord
from fusion_daemon.domain.identifiers import AccountId, Address, ChainId
from fusion_daemon.domain.journal import BlockRef, JournalEntry
from fusion_daemon.domain.margin import Cause, MarginEvent, MarginInputs, MarginState
from fusion_daemon.domain.price import Price
from fusion_daemon.risk.episodes import UNKNOWN, Driver, Place, Standing, moved, transition
from fusion_daemon.risk.history import TOLERANCE, Pending
from fusion_daemon.risk.margin import rule_of
from fusion_daemon.risk.portfolio import Portfolio, Touched
from fusion_daemon.risk.registers import Market
from fusion_daemon.risk.screen import Screen
from fusion_daemon.risk.settings import RiskSettings
from fusion_daemon.risk.valuation import assess, judge, names, valuation_of

FEW = 128
"""Up to so many accounts are decided exactly without a screening."""
PATIENCE = 60
"""Seconds after its start for which the monitor does not judge who holds or owes what has no price: each feed
is to have the time for its first answer, or everybody would be called before the first price is there."""
PORTION = 64
"""Accounts decided, or mirrored, between two yields."""


@dataclass(frozen=True, slots=True)
class Case:
    """Whose health is to be looked at, and why."""

    driver: Driver
    touched: Touched
    everyone: bool = False


class MarginMonitor:
    """Mutable, but pure: no clock, no I/O. One fold, then its case decided to the end, then the next fold."""

    def __init__(
        self,
        settings: RiskSettings,
        portfolio: Portfolio,
        standings: Mapping[AccountId, Standing],
        started_at: int,
    ) -> None:
        self.settings = settings
        self.portfolio = portfolio
        self.standings = dict(standings)
        self.rule = rule_of(settings)
        self._started_at = started_at
        self._patient_until = started_at + PATIENCE
        self._screen = Screen(self.rule)
        self._pending: dict[ChainId, Pending] = {}
        self._late: dict[tuple[ChainId, int], Touched] = {}
        """What late history touched that is not whole yet, by filter version. Who holds half of it is not judged."""
        self.unsaved: dict[AccountId, None] = {}
        """Accounts whose standing changed without an event; whoever commits it clears this."""

    def resume_late(self, chain: ChainId, version: int, contracts: Collection[Address]) -> None:
        """This late history of these contracts was folded in part by a life before."""
        markets = dict.fromkeys(self.portfolio.markets_at(chain, contracts))
        self._late[chain, version] = Touched(self.portfolio.holders(markets), markets)

    # Folds: each gives the case to be decided

    def price(self, price: Price) -> Case:
        self.portfolio.set_price(price)
        markets = dict.fromkeys(self.portfolio.markets_of(price.asset))
        return Case(self._driver(Cause.PRICE, price.published_at), Touched(markets=markets))

    def entry(self, entry: JournalEntry, now: int) -> Case | None:
        """None while inside a reorg: such a state never was the chain's; and for what is history at unix
        second `now`: see `risk.history`. Raises JournalMismatch."""
        touched = self.portfolio.fold(entry)
        if entry.late:
            self._late.setdefault((entry.chain, entry.filter_version), Touched()).add(touched)
            if not entry.settles:
                return None
            touched = self._late.pop((entry.chain, entry.filter_version))
        pending = self._pending.setdefault(entry.chain, Pending())
        pending.add(entry, touched)
        present = min(self.portfolio.priced_at or now, now)
        old = entry.block.timestamp < present - TOLERANCE
        pending.history = entry.block if old and entry.settles else None
        if old or not entry.settles:
            return None
        return self._settled(entry.chain, entry.block, entry.block.timestamp)

    @property
    def history(self) -> dict[ChainId, BlockRef]:
        """Chains whose last blocks were too old to be judged, and where each stands."""
        return {chain: each.history for chain, each in self._pending.items() if each.history is not None}

    def level(self, chain: ChainId, now: int) -> Case:
        """The chain's history is all there is: it is judged as of `now`, the time of the prices."""
        return self._settled(chain, self.history[chain], now)

    def _settled(self, chain: ChainId, block: BlockRef, as_of: int) -> Case:
        pending = self._pending.pop(chain)
        cause = Cause.CHAIN if pending.retracted is None else Cause.REORG
        place = Place(chain, block.number)
        driver = Driver(cause, as_of, as_of < self._started_at, place, pending.retracted)
        return Case(driver, pending.touched)

    def registration(self, record: AccountRecord, now: int) -> Case:
        touched = self.portfolio.register(record)
        held = [each.touched for each in self._pending.values() if each.history is not None]
        for history in (*held, *self._late.values()):
            if any(account in history.accounts for account in touched.accounts):
                history.add(touched)  # an address that is history makes its new account history
        return Case(Driver(Cause.REGISTRY, now, past=False), touched)

    def interest(self, now: int) -> Case:
        return Case(Driver(Cause.INTEREST, now, past=False), Touched(), everyone=True)

    def configuration(self, now: int) -> Case:
        """The limits or the tokens changed."""
        return Case(Driver(Cause.CONFIGURATION, now, past=False), Touched(), everyone=True)

    def _driver(self, cause: Cause, as_of: int) -> Driver:
        return Driver(cause, as_of, past=as_of < self._started_at)

    # Deciding

    def blocks(self, case: Case) -> Iterator[Sequence[AccountId]]:
        """The accounts to decide, in portions of at most PORTION; some may be empty.

        Between two portions at most a few milliseconds pass: the place to let others run.
        """
        decided = dict(case.touched.accounts)
        markets = tuple(case.touched.markets)
        portfolio = self.portfolio
        few = portfolio.account_count if case.everyone else portfolio.holder_count(markets)
        if few <= FEW:
            decided.update(dict.fromkeys(portfolio.accounts()) if case.everyone else portfolio.holders(markets))
        yield from _portions(decided)
        if few > FEW:
            yield from self._screened(case, decided, markets)

    def _screened(
        self, case: Case, decided: Mapping[AccountId, None], markets: Sequence[Market]
    ) -> Iterator[Sequence[AccountId]]:
        yield from self.mirror()
        as_of = case.driver.as_of
        for found in self._screen.candidates(self.portfolio, as_of, patient=as_of < self._patient_until):
            yield from _portions(
                account
                for account in found
                if account not in decided and (case.everyone or self.portfolio.holds(account, markets))
            )
            yield ()

    def mirror(self) -> Iterator[Sequence[AccountId]]:
        """Bring what changed into the screen, yielding empty portions as `blocks` does."""
        dirty = self.portfolio.dirty
        while dirty:
            portion = list(islice(dirty, PORTION))
            self._screen.refresh(self.portfolio, portion, self.standings)
            for account in portion:
                del dirty[account]
            yield ()

    def decide(self, accounts: Iterable[AccountId], driver: Driver) -> list[MarginEvent]:
        """Evaluate these accounts exactly, but for those that are history; those whose state changes take
        their new standing at once."""
        events = []
        held = [each.touched.accounts for each in self._pending.values() if each.history is not None]
        held += [touched.accounts for touched in self._late.values()]
        for account in accounts:
            if held and any(account in each for each in held):
                continue
            event = self._decide(account, driver)
            if event is not None:
                events.append(event)
        return events

    def _decide(self, account: AccountId, driver: Driver) -> MarginEvent | None:
        before = self.standings.get(account, UNKNOWN)
        found = valuation_of(self.portfolio, account, driver.as_of)
        if found.unpriced and driver.as_of < self._patient_until:
            return None
        state = judge(found, before.state, self.rule)
        if state is before.state:
            after = moved(before, driver)
            if after is not before:
                self.standings[account] = after
                self.unsaved[account] = None
            return None
        now = assess(self.portfolio, account, found, state, driver.as_of, self.rule, self.settings)
        inputs = self.inputs(driver.as_of, [leg.market for leg in found.unpriced])
        step = transition(account, before, now, driver, inputs)
        if step is None:
            return None
        self.standings[account], event = step
        self._screen.set_state(account, state)
        return event

    def inputs(self, as_of: int, unpriced: Sequence[Market] = ()) -> MarginInputs:
        chains = self.portfolio.chains
        return MarginInputs(
            price_seq=self.portfolio.price_seq,
            chains=tuple(chains[chain] for chain in sorted(chains)),
            configuration=self.settings.fingerprint,
            as_of=as_of,
            unpriced=names(unpriced) if unpriced else (),
        )

    def state(self, account: AccountId) -> MarginState:
        return self.standings.get(account, UNKNOWN).state


def _portions(accounts: Iterable[AccountId]) -> Iterator[Sequence[AccountId]]:
    iterator = iter(accounts)
    while portion := list(islice(iterator, PORTION)):
        yield portion


def in_order(events: Iterable[MarginEvent]) -> list[MarginEvent]:
    """The events of one case by account: the same whatever order accounts were loaded in."""
    return sorted(events, key=lambda event: event.account)
