"""One supervisor of a tree: it starts its children in order, keeps them, and stops them in reverse order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from random import Random

import trio
from structlog.typing import FilteringBoundLogger

from fusion_daemon.runtime.actor import ActorContext
from fusion_daemon.runtime.child import Child
from fusion_daemon.runtime.clock import Clock
from fusion_daemon.runtime.errand import Errand
from fusion_daemon.runtime.failures import NotRunning, RestartLimitExceeded, StartFailed
from fusion_daemon.runtime.health import ActorState, ActorStatus
from fusion_daemon.runtime.life import Graveyard, StopReport, describe, ends_program
from fusion_daemon.runtime.restart import AutoShutdown, Intensity, RestartWindow, Strategy
from fusion_daemon.runtime.spec import ChildSpec, SupervisorSpec
from fusion_daemon.runtime.staff import Staff


@dataclass(frozen=True, slots=True)
class SupervisorStatistics:
    """Present children by state, and how much of both budgets is used."""

    name: str
    strategy: Strategy
    states: tuple[tuple[ActorState, int], ...]
    zombies: int
    """In the whole tree."""
    restarts: int
    """Of present direct children since the supervisor began."""
    recent_restarts: int
    intensity: Intensity
    recent_failed_starts: int
    start_intensity: Intensity
    stop_budget: float
    """Seconds that an ordered stop takes at most."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A supervisor at one moment, and all below it in start order."""

    supervisor: SupervisorStatistics
    children: tuple[tuple[ActorStatus, Outline | None], ...]
    """A supervisor that has not begun yet has no outline."""


class Branch:
    """The supervisor in one place of the tree, for one life. Trio side throughout.

    `random` draws the jitter. Operators speak to the tree's `Supervisor`, which finds the branch.
    """

    def __init__(
        self,
        name: str,
        spec: SupervisorSpec,
        clock: Clock,
        random: Random,
        log: FilteringBoundLogger,
        graveyard: Graveyard,
    ) -> None:
        self.name = name
        self.spec = spec
        self.report = StopReport()
        """Of the last stop."""
        self.graveyard = graveyard
        """The whole tree's."""
        self.running = False
        self._clock = clock
        self._random = random
        self._plain_log = log
        self._log = log.bind(supervisor=name)
        self._crashes = RestartWindow(spec.intensity)
        self._failed_starts = RestartWindow(spec.start_intensity)
        self._scope = trio.CancelScope()
        self._draining = trio.Event()
        """The end was ordered: children may drain."""
        self._reason: Callable[[], str] = lambda: "the run was cancelled"
        """Why it ends, once it does."""
        self._failure: BaseException | None = None
        self._finished = False
        """Its significant children have ended, so it ends."""
        self._booted = False
        self._nursery: trio.Nursery | None = None
        self._over = trio.Event()
        self.staff = Staff(name, spec.strategy, self, random, self._log)
        for each in spec.children:
            self.staff.admit(self._place(each))

    async def live(self, context: ActorContext) -> None:
        """Be a child: what the parent runs as this branch's life."""
        self._draining = context.draining
        self._reason = lambda: context.stop_reason
        await self.run(context.started)

    async def stop(self, reason: str) -> None:
        """Stop every child and end its life. Idempotent; at most `stop_budget()` seconds."""
        if self.running:
            self._end(reason)
            await self._over.wait()

    async def take_on(self, spec: ChildSpec) -> None:
        """Start one more child. Its name is taken from the call on. Raises `StartFailed`, `NotRunning`."""
        if self._nursery is None:
            raise NotRunning(self.name)
        child = self._place(spec)
        self.staff.admit(child)
        await self._perform(lambda: self.staff.begin(child))

    async def exchange(self, child: Child, spec: ChildSpec) -> None:
        """Raises `StartFailed`, `ActorBusy`, `NotRunning`."""
        await self._perform(lambda: self.staff.exchange(child, spec))

    async def _perform(self, job: Callable[[], Awaitable[None]]) -> None:
        if self._nursery is None:
            raise NotRunning(self.name)
        errand = Errand(self.name, job)
        self._nursery.start_soon(errand.run)
        await errand.result()

    def change(self, spec: SupervisorSpec) -> None:
        """Take another description, which fits (`Supervisor.change` has looked), from now on."""
        self.spec = spec
        self._crashes.change(spec.intensity)
        self._failed_starts.change(spec.start_intensity)
        for each in spec.children:
            place = self.staff.roster.children.get(each.name)
            if place is None:
                place = self._place(each)
                place.booted, place.wanted = True, False
                self.staff.admit(place)
            self.staff.describe(place, each)
        self.staff.follow(spec.strategy, tuple(each.name for each in spec.children))

    @property
    def keeping(self) -> bool:
        """It starts, heals and takes orders: it has begun, and has not begun to come down."""
        return self._nursery is not None

    def succeed(self, former: Branch) -> None:
        """Before its life: be the next one after `former`, whom the operator's hands on its children outlive."""
        before = former.staff.roster.children
        for child in self.staff.roster.all():
            if child.spec.name in before:
                child.succeed(before[child.spec.name])

    def pause_all(self) -> None:
        for child in self.staff.roster.all():
            child.pause()

    def resume_all(self) -> None:
        for child in self.staff.roster.all():
            child.resume()

    def stop_budget(self) -> float:
        """Seconds that an ordered stop takes at most, with the children that it has now."""
        return self.staff.stop_budget(together=self.spec.member is not None)

    def statistics(self) -> SupervisorStatistics:
        now = self._clock.monotonic()
        present = tuple(child.status() for child in self.staff.roster.all())
        return SupervisorStatistics(
            name=self.name,
            strategy=self.spec.strategy,
            states=tuple(
                (state, sum(1 for each in present if each.state is state))
                for state in ActorState
                if any(each.state is state for each in present)
            ),
            zombies=len(self.graveyard.zombies()),
            restarts=sum(each.restarts for each in present),
            recent_restarts=self._crashes.count(now),
            intensity=self.spec.intensity,
            recent_failed_starts=self._failed_starts.count(now),
            start_intensity=self.spec.start_intensity,
            stop_budget=self.stop_budget(),
        )

    def outline(self) -> Outline:
        """Any thread."""
        return Outline(
            self.statistics(),
            tuple(
                (child.status(), None if child.nested is None else child.nested.outline())
                for child in self.staff.roster.all()
            ),
        )

    def walk(self) -> Iterator[tuple[Branch, Child]]:
        """Every child below with its supervisor, depth first, in start order."""
        for child in self.staff.roster.all():
            yield self, child
            if child.nested is not None:
                yield from child.nested.walk()

    def branches(self) -> Iterator[Branch]:
        """Itself, and every supervisor below that lives, or was the last one in its place."""
        yield self
        for child in tuple(self.staff.branches.values()):
            if child.nested is not None:
                yield from child.nested.branches()

    def may_restart(self, child: Child, error: BaseException | None, *, started: bool) -> bool:
        """For a lane: count a restart; False when it is one too many."""
        window, intensity, what = (
            (self._crashes, self.spec.intensity, "restarts")
            if started
            else (self._failed_starts, self.spec.start_intensity, "failed starts")
        )
        if not window.exceeded_by_one_at(self._clock.monotonic()):
            return True
        self._give_up(RestartLimitExceeded(self.name, child.spec.name, intensity, what, error))
        return False

    def forget(self, child: Child) -> None:
        """For a lane: its place is gone. Idempotent."""
        self.staff.dismiss(child)

    def significant_end(self, child: Child) -> None:
        """For a lane: a significant child ended by itself for good."""
        mode = self.spec.auto_shutdown
        others = any(
            each.spec.significant and (each.wanted or each.alive)
            for each in self.staff.roster.all()
            if each is not child
        )
        if mode is AutoShutdown.ANY or (mode is AutoShutdown.ALL and not others):
            self._log.info("supervisor_finished", actor=child.spec.name)
            self._finished = True
            self._end_if_finished()

    async def run(self, on_started: Callable[[], None]) -> None:
        """The life of a supervisor, as `Supervisor.run` has it."""
        self.running = True
        try:
            with self._scope:
                async with trio.open_nursery() as self._nursery:
                    self.staff.open(self._nursery)
                    await self._boot()
                    on_started()
                    self._booted = True
                    self._end_if_finished()
                    await trio.sleep_forever()
        finally:
            self._nursery = None
            await self._bring_down()
            if self._failure is not None:
                raise self._failure  # outweighs an order to stop that came with it

    async def _boot(self) -> None:
        """Start in order, each when the one before has started; the first failure is everybody's."""
        for child in self.staff.roster.all():
            if not child.wanted:
                child.booted = True  # the operator stopped it before its turn, and may start it
                continue
            error = await self.staff.first_start(child)
            if error is not None:
                self._give_up(StartFailed(self.name, child.spec.name, error))
                await trio.sleep_forever()

    def _end_if_finished(self) -> None:
        # Like OTP, a supervisor is there before it goes: what waits for its start gets that answer.
        if self._finished and self._booted:
            self._end("its significant children have ended")

    def _end(self, reason: str) -> None:
        if not self._draining.is_set():
            self._reason = lambda: reason
        self._draining.set()
        self._scope.cancel(reason)

    async def _bring_down(self) -> None:
        with trio.CancelScope(shield=True):
            departures = await self.staff.stop_all(
                self._reason() if self._failure is None else describe(self._failure),
                drain=self._draining.is_set() and self._failure is None,
                together=self.spec.member is not None,
            )
        self.report = StopReport(departures, self.graveyard.zombies())
        if isinstance(self._failure, (StartFailed, RestartLimitExceeded)):
            self._failure.report = self.report
        self.running = False
        self._over.set()

    def _place(self, spec: ChildSpec) -> Child:
        return Child(
            spec,
            self.name,
            self._clock,
            self._plain_log,
            self.graveyard,
            self._branch,
            self._on_end,
            pooled=self.spec.member is not None,
        )

    def _branch(self, name: str, spec: SupervisorSpec) -> Branch:
        return Branch(name, spec, self._clock, self._random, self._plain_log, self.graveyard)

    def _on_end(self, error: BaseException | None) -> None:
        # Whoever raises one of these means the whole program: no restart, up through every parent.
        if error is not None and ends_program(error):
            self._give_up(error)

    def _give_up(self, failure: BaseException) -> None:
        if self._failure is None:
            self._failure = failure
            self._log.error("supervisor_gives_up", error=describe(failure))
            self._scope.cancel(describe(failure))
