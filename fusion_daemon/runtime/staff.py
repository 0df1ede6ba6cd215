"""The children of one living supervisor: who heals them, how they first start, and how all of them stop."""

from __future__ import annotations

from random import Random

import trio
from structlog.typing import FilteringBoundLogger

from fusion_daemon.runtime.child import Child, Order
from fusion_daemon.runtime.failures import ActorBusy, StartFailed, SupervisionError, UnknownActor
from fusion_daemon.runtime.lane import Lane, Roster, StartTimeout, Ward
from fusion_daemon.runtime.life import Departure
from fusion_daemon.runtime.restart import Strategy
from fusion_daemon.runtime.spec import ChildSpec, SupervisorSpec


class Staff:
    """Trio side. Whatever waits, waits at most the budgets of its children.

    INVARIANTS: every child of the roster has exactly one lane: its own under one_for_one, else that of all. `branches`
    are the children of the roster that are or once were supervisors; so only `describe` changes a child's spec.
    """

    def __init__(self, name: str, strategy: Strategy, ward: Ward, random: Random, log: FilteringBoundLogger) -> None:
        self.roster = Roster()
        self.branches: dict[str, Child] = {}
        """Few among many: whoever looks for a name below has to look at these alone."""
        self._name = name
        self._strategy = strategy
        self._ward = ward
        self._random = random
        self._log = log
        self._common = None if strategy is Strategy.ONE_FOR_ONE else self._lane(self.roster)
        self._single: dict[str, tuple[Lane, Roster]] = {}
        self._nursery: trio.Nursery | None = None

    def open(self, nursery: trio.Nursery) -> None:
        """Heal from now on, until `nursery` ends."""
        self._nursery = nursery
        if self._common is not None:
            nursery.start_soon(self._common.run)
        for lane, _ in self._single.values():
            nursery.start_soon(lane.run)

    def admit(self, child: Child) -> None:
        """Take a child in, behind those present."""
        self.roster.children[child.spec.name] = child
        self.describe(child, child.spec)
        if self._common is not None:
            self._common.admit(child)
            return
        roster = Roster(child)
        lane = self._lane(roster)
        lane.admit(child)
        self._single[child.spec.name] = lane, roster
        if self._nursery is not None:
            self._nursery.start_soon(lane.run)

    def dismiss(self, child: Child) -> None:
        """Its place is gone. Idempotent."""
        if child in self.roster:
            del self.roster.children[child.spec.name]
            self.branches.pop(child.spec.name, None)
            if self._common is None:
                lane, roster = self._single.pop(child.spec.name)
                roster.children.clear()
                lane.bell.ring()

    def describe(self, child: Child, spec: ChildSpec) -> None:
        """Of the same name. What runs takes it up at its next start."""
        child.spec = spec
        if isinstance(spec.start, SupervisorSpec):
            self.branches[spec.name] = child

    def may_follow(self, strategy: Strategy) -> bool:
        """Whether a living staff can change to it: lanes are not merged or split while they heal."""
        return (strategy is Strategy.ONE_FOR_ONE) == (self._strategy is Strategy.ONE_FOR_ONE)

    def follow(self, strategy: Strategy, order: tuple[str, ...]) -> None:
        """Take another strategy, and put the children named first, in that order, before all others."""
        self._strategy = strategy
        if self._common is not None:
            self._common.follow(strategy)
        present = self.roster.children
        self.roster.children = {name: present[name] for name in order} | present

    def dependents(self, child: Child) -> list[Child]:
        """Who goes down and up with a child, itself included, in start order."""
        if self._strategy is Strategy.ONE_FOR_ONE:
            return [child]
        everybody = list(self.roster.all())
        return everybody[everybody.index(child) :] if self._strategy is Strategy.REST_FOR_ONE else everybody

    async def first_start(self, child: Child) -> BaseException | None:
        """Start it, and hand it to its lane; or return why it did not start, and leave it to the caller.

        One that was stopped meanwhile, or that answered `Ignore`, counts as started.
        """
        life = child.spawn()
        budget = child.spec.start_budget()
        with trio.move_on_after(budget):
            await life.context.decided.wait()
        error = life.error
        if not life.context.decided.is_set():
            error = StartTimeout(child.spec.name, budget)
        if error is not None and not life.started and life.stop_asked_at is None:
            return error
        child.booted = True
        child.wake()
        return None

    async def begin(self, child: Child) -> None:
        """Start a new child. Raises `StartFailed`, and then its place is gone again."""
        error = await self.first_start(child)
        if error is not None:
            await _clear_away(child)
            self.dismiss(child)
            raise StartFailed(self._name, child.spec.name, error)

    async def exchange(self, child: Child, spec: ChildSpec) -> None:
        """Stop a child, and those that its strategy takes down with it, and start them, it after `spec`.

        INVARIANT: meanwhile none of them is booted, so no lane starts one of them; whom the operator
        stops meanwhile has no order any more, and stays stopped. Raises `StartFailed`: then the old spec is
        back, and the lane starts the child after it as it would after a crash. Raises `ActorBusy`, and
        `UnknownActor` for one that is gone by now, or that was temporary and went down with its group.
        """
        if child not in self.roster:
            raise UnknownActor(spec.name)
        if not child.booted:
            raise ActorBusy(child.spec.name, child.status().state)
        group = [each for each in self.dependents(child) if each is child or (each.booted and each.wanted)]
        for each in group:
            each.booted, each.wanted, each.order = False, False, Order.START
        for each in reversed(group):
            await each.stop(f"replacement of {child.spec.name}", drain=True)
        error: SupervisionError | None = UnknownActor(spec.name)
        if child in self.roster:
            error = await self._try_out(child, spec)
        for each in group:
            if each is not child and each.passing:
                each.order = None
            each.wanted = each.wanted or each.order is Order.START
            each.booted = True
            each.wake()
        if error is not None:
            raise error

    async def _try_out(self, child: Child, spec: ChildSpec) -> StartFailed | None:
        """Start a child after `spec`, unless the operator has stopped it; if that fails, order it back as
        it was."""
        old = child.spec
        self.describe(child, spec)
        if child.order is None:
            return None
        child.order, child.wanted = None, True
        error = await self.first_start(child)
        if error is None:
            return None
        await _clear_away(child)
        self.describe(child, old)
        child.order = Order.START
        return StartFailed(self._name, spec.name, error)

    def stop_budget(self, *, together: bool) -> float:
        """The longest that `stop_all` can take now."""
        budgets = [child.stop_budget() for child in self.roster.all()]
        return max(budgets, default=0.0) if together else sum(budgets)

    async def stop_all(self, reason: str, *, drain: bool, together: bool) -> tuple[Departure, ...]:
        """Stop them one after the other, last started first, or all at the same time."""
        children = self.roster.all()[::-1]
        departures: dict[str, tuple[Departure, ...]] = {}

        async def stop(child: Child) -> None:
            child.wanted = False
            departures[child.spec.name] = await child.stop(reason, drain=drain)

        if together:
            async with trio.open_nursery() as nursery:
                for child in children:
                    nursery.start_soon(stop, child)
        else:
            for child in children:
                await stop(child)
        return tuple(each for child in children for each in departures[child.spec.name])

    def _lane(self, roster: Roster) -> Lane:
        return Lane(roster, self._strategy, self._ward, self._random, self._log)


async def _clear_away(child: Child) -> None:
    """What is left of a first start that failed: a life that ended, or one that hangs."""
    if child.alive:
        await child.stop("start timeout", drain=False)
    else:
        child.fail(child.collect(), None)
