"""Supervision after Erlang/OTP, on trio: start in order, restart by strategy, stop in reverse order, and
say honestly what would not stop.

Differences from OTP, on purpose:
* restarts of one child are spaced by a backoff with jitter;
* reaching the limit is an error, `RestartLimitExceeded`, never an exit that a parent takes for normal;
* a start that fails when a supervisor is asked for it is that answer's error, and keeps nothing;
* a supervisor child has no stop timeout of its own but the sum of its children's, so none is orphaned;
* there is no kill in trio: what ignores its cancellation becomes a zombie in the report, and the stop
  goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import cast

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from fusion_daemon.runtime.branch import Branch, Outline, SupervisorStatistics
from fusion_daemon.runtime.child import Child, Order
from fusion_daemon.runtime.clock import Clock
from fusion_daemon.runtime.failures import ActorBusy, ActorStuck, NameTaken, NotRunning, UnknownActor
from fusion_daemon.runtime.health import ActorState, ActorStatus, Finding, stalled
from fusion_daemon.runtime.life import Graveyard, StopReport, Zombie
from fusion_daemon.runtime.spec import ChildSpec, SupervisorSpec
from fusion_daemon.runtime.trace import Trace


class Supervisor:
    """One supervision tree, in the hands of an operator. Trio side throughout.

    `random` draws the jitter. What is not a coroutine answers at once, in any state of the tree; `stop`
    and `stop_child` wait for nobody but those that they stop, and nothing waits without a deadline.
    """

    def __init__(
        self,
        name: str,
        spec: SupervisorSpec,
        *,
        clock: Clock,
        random: Random,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        _refuse_double_names(name, spec)
        self.name = name
        if log is None:
            log = cast("FilteringBoundLogger", structlog.get_logger("supervisor"))
        self._root = Branch(name, spec, clock, random, log, Graveyard())

    @property
    def report(self) -> StopReport:
        """Of the last stop."""
        return self._root.report

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> StopReport:
        """Start the children in order, keep them, and stop them in reverse order.

        Ends by `stop()` or by automatic shutdown, returning what was stopped; with `StartFailed` or
        `RestartLimitExceeded`; with a child's KeyboardInterrupt or SystemExit; or by cancellation. In
        every case the children are stopped first, which takes at most `stop_budget()` and is not
        interrupted; only where the end was ordered may they drain.
        """
        await self._root.run(task_status.started)
        return self.report

    async def stop(self, reason: str = "stop of the supervisor") -> StopReport:
        """Stop every child and end `run`. Idempotent; at most `stop_budget()` seconds. Whoever has to be cancelled is
        told the `reason`, and the report says it."""
        await self._root.stop(reason)
        return self.report

    async def stop_child(self, name: str) -> StopReport:
        """Stop one child (with all below it); nobody is restarted for it. Idempotent.

        Raises `UnknownActor`. A temporary child and a member of a pool are forgotten.
        """
        _, child = self._locate(name)
        child.wanted = False
        child.order = None
        departures = await child.stop("stopped by the operator", drain=True)
        child.wake()
        return StopReport(departures, self.zombies())

    def restart(self, name: str) -> None:
        """Restart a child, with the siblings that its supervisor's strategy names, or start a stopped
        one (alone). Returns at once; not counted, no backoff. Raises `UnknownActor`, `ActorBusy`."""
        owner, child = self._locate(name)
        state = child.status().state
        busy = state in (ActorState.STARTING, ActorState.STOPPING, ActorState.RESTARTING)
        if busy or not owner.keeping or not child.booted:
            raise ActorBusy(name, state)
        child.wanted = True
        child.order = Order.RESTART if child.life is not None else Order.START
        child.wake()

    def revive_stalled(self) -> tuple[Finding, ...]:
        """Restart, as a crash would, every child that made no progress within its own `beat_limit`; the others go on.
        One that will not stop is left as a zombie, beside its next life. Returns at once, with those it found."""
        found = stalled(self.tree())
        for finding in found:
            _, child = self._locate(finding.name)
            child.note_stuck(ActorStuck(finding))
            child.order = Order.REVIVE
            child.wake()
        return found

    async def add(self, spec: ChildSpec, *, under: str | None = None) -> None:
        """Take on and start one more child, last in order, here or under a branch of that name.

        It is gone again when this supervisor itself is restarted. Waits at most the child's start and stop
        budgets; cancelled, it leaves the start to go on. Raises `StartFailed` (nothing is kept),
        `NameTaken`, `UnknownActor`, `NotRunning`, and ValueError for a spec that does not fit.
        """
        owner = self._supervisor(under)
        if owner.spec.member is not None:
            raise ValueError(f"{owner.name} is a pool: it takes members by name")
        self._refuse_unfit(owner, spec, None)
        await owner.take_on(spec)

    async def add_member(self, name: str, *, pool: str | None = None) -> None:
        """Take on and start one more member of a pool, this one or a branch. As `add`."""
        owner = self._supervisor(pool)
        if owner.spec.member is None:
            raise ValueError(f"{owner.name} is no pool")
        spec = owner.spec.member(name)
        self._refuse_unfit(owner, spec, None)
        await owner.take_on(spec)

    def delete(self, name: str) -> None:
        """Forget a stopped child. Returns at once. Raises `UnknownActor`, and `ActorBusy` while it is not
        stopped."""
        owner, child = self._locate(name)
        if child.wanted or child.life is not None or not child.booted:
            raise ActorBusy(name, child.status().state)
        owner.forget(child)

    def update(self, spec: ChildSpec) -> None:
        """Describe the child of that name anew: how it is kept and stopped at once, what runs from its
        next start on. Returns at once. Raises `UnknownActor`, `ActorBusy`, `NameTaken`, ValueError."""
        owner, child = self._replaceable(spec)
        owner.staff.describe(child, spec)

    async def replace(self, spec: ChildSpec) -> None:
        """Stop the child of that name, and start it after this spec; in any state, and with the siblings
        that the strategy names.

        Raises `StartFailed` when it does not start: then the old spec is back, and the child is started
        after it. Otherwise as `update`, and `NotRunning`. Waits at most the start budget and the stop
        budgets of all concerned; cancelled, it leaves the replacement to go on.
        """
        owner, child = self._replaceable(spec)
        await owner.exchange(child, spec)

    def change(self, spec: SupervisorSpec, *, of: str | None = None) -> None:
        """Describe this supervisor, or a branch, anew while it lives. Returns at once.

        Flags hold at once. A child of the new spec takes its new description as in `update`, a new one is
        kept but not started, one that is missing stays as it is, behind the others. Raises, with nothing
        changed, `UnknownActor`, `ActorBusy`, `NameTaken`, and ValueError for a change between one_for_one
        and another strategy, or between a pool and no pool: that takes a `replace` of the branch.
        """
        owner = self._supervisor(of)
        self._refuse_change(owner, spec)
        owner.change(spec)
        if owner is not self._root:
            parent, place = self._locate(owner.name)
            parent.staff.describe(place, replace(place.spec, start=spec))

    def pause(self, name: str) -> None:
        """Hold a child, and all below it, at its next gate. Returns at once. Raises `UnknownActor`."""
        self._locate(name)[1].pause()

    def resume(self, name: str) -> None:
        """Let it go on. Returns at once. Raises `UnknownActor`."""
        self._locate(name)[1].resume()

    def pause_all(self) -> None:
        self._root.pause_all()

    def resume_all(self) -> None:
        self._root.resume_all()

    def find(self, name: str) -> ActorStatus:
        """Raises `UnknownActor`."""
        return self._locate(name)[1].status()

    async def until(self, name: str, holds: Callable[[ActorStatus], bool]) -> ActorStatus:
        """The first status of a child that `holds`, looked at whenever its state has changed. A child that is forgotten
        meanwhile changes no more: give it a deadline. Raises `UnknownActor`."""
        return await self._locate(name)[1].until(holds)

    def trace(self, name: str) -> Trace:
        """From any thread. Raises `UnknownActor`."""
        return self._locate(name)[1].trace

    def whereabouts(self, name: str) -> tuple[str, ...]:
        """Where the tasks of a child wait, `file:line function`, outermost first. From any thread. Raises
        `UnknownActor`."""
        return self._locate(name)[1].whereabouts()

    def outline(self) -> Outline:
        """The whole tree. From any thread."""
        return self._root.outline()

    def children(self) -> tuple[ActorStatus, ...]:
        """The direct children in start order. From any thread."""
        return tuple(child.status() for child in self._root.staff.roster.all())

    def tree(self) -> tuple[ActorStatus, ...]:
        """Every child below, depth first, in start order. From any thread."""
        return tuple(child.status() for _, child in self._root.walk())

    def zombies(self) -> tuple[Zombie, ...]:
        """Of the whole tree."""
        return self._root.graveyard.zombies()

    def statistics(self) -> SupervisorStatistics:
        return self._root.statistics()

    def _replaceable(self, spec: ChildSpec) -> tuple[Branch, Child]:
        owner, child = self._locate(spec.name)
        if not child.booted:
            raise ActorBusy(spec.name, child.status().state)
        self._refuse_unfit(owner, spec, child)
        return owner, child

    def _refuse_change(self, owner: Branch, spec: SupervisorSpec) -> None:
        if not owner.staff.may_follow(spec.strategy) or (spec.member is None) != (owner.spec.member is None):
            raise ValueError(f"{owner.name} cannot become {spec.strategy} or a pool while it lives")
        _refuse_double_names(owner.name, spec)
        present = owner.staff.roster.children
        for child in present.values():
            if not child.booted:
                raise ActorBusy(child.spec.name, child.status().state)
        promised = self._promised()
        for each in spec.children:
            self._refuse_taken(each, present.get(each.name), promised)

    def _refuse_unfit(self, owner: Branch, spec: ChildSpec, present: Child | None) -> None:
        owner.spec.refuse_idle_significance(spec)
        self._refuse_taken(spec, present, self._promised())

    def _locate(self, name: str) -> tuple[Branch, Child]:
        for owner in self._root.branches():
            child = owner.staff.roster.children.get(name)
            if child is not None:
                return owner, child
        raise UnknownActor(name)

    def _supervisor(self, name: str | None) -> Branch:
        if name is None or name == self.name:
            return self._root
        _, child = self._locate(name)
        if child.nested is None:
            raise NotRunning(name)
        return child.nested

    def _refuse_taken(self, spec: ChildSpec, present: Child | None, promised: frozenset[str]) -> None:
        """Every name is unique in the tree, also those of branches that do not live now.

        No member of a pool is looked at: there may be many, and each of them is added by its name.
        """
        free = frozenset[str]() if present is None else frozenset(present.spec.names())
        seen = set[str]()
        for name in spec.names():
            if name in seen or (name not in free and (name in promised or self._present(name))):
                raise NameTaken(name)
            seen.add(name)

    def _present(self, name: str) -> bool:
        return any(name in branch.staff.roster.children for branch in self._root.branches())

    def _promised(self) -> frozenset[str]:
        """Names that are described: this one's, and of each branch its own and those of its children."""
        places = (place for branch in self._root.branches() for place in branch.staff.branches.values())
        return frozenset([self.name, *(name for place in places for name in place.spec.names())])


def _refuse_double_names(name: str, spec: SupervisorSpec) -> None:
    seen = {name}
    for each in spec.names():
        if each in seen:
            raise ValueError(f"two members of the tree below {name!r} are named {each!r}")
        seen.add(each)
