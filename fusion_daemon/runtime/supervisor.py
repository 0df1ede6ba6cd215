"""Supervision after Erlang/OTP, on trio: start in order, restart by strategy, stop in reverse order, and
say honestly what would not stop.

Differences from OTP, on purpose:
* restarts of one child are spaced by a backoff with jitter;
* reaching the limit is an error, `RestartLimitExceeded`, never an exit that a parent takes for normal;
* a supervisor child has no stop timeout of its own but the sum of its children's, so none is orphaned;
* there is no kill in trio: what ignores its cancellation becomes a zombie in the report, and the stop
  goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import cast

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from fusion_daemon.runtime.actor import ActorContext
from fusion_daemon.runtime.child import Child, Order
from fusion_daemon.runtime.clock import Clock
from fusion_daemon.runtime.health import ActorState, ActorStatus
from fusion_daemon.runtime.lane import Lane, StartTimeout
from fusion_daemon.runtime.life import Departure, Graveyard, StopReport, Zombie, describe, ends_program
from fusion_daemon.runtime.restart import Intensity, RestartWindow, Strategy
from fusion_daemon.runtime.spec import ChildSpec, SupervisorSpec


class SupervisionError(Exception):
    """Something about the tree, not about one actor's work."""


class UnknownActor(SupervisionError):
    """No child of that name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"No actor is named {name!r}. `fusion-daemon status` lists them.")


class ActorBusy(SupervisionError):
    """The child is starting, stopping or restarting already."""

    def __init__(self, name: str, state: ActorState) -> None:
        self.name = name
        self.state = state
        super().__init__(f"{name} is {state}; wait until it is running or stopped.")


class StartFailed(SupervisionError):
    """A child failed to start at boot (its error is the `__cause__`); those started before were stopped."""

    def __init__(self, supervisor: str, child: str, error: BaseException) -> None:
        self.supervisor = supervisor
        self.child = child
        self.report = StopReport()
        super().__init__(f"{supervisor} could not start {child}: {describe(error)}")


class RestartLimitExceeded(SupervisionError):
    """Restarting did not help: more than `intensity` allows. The last error is the `__cause__`."""

    def __init__(self, supervisor: str, child: str, intensity: Intensity, what: str) -> None:
        self.supervisor = supervisor
        self.child = child
        self.intensity = intensity
        self.report = StopReport()
        super().__init__(
            f"{supervisor} gives up on {child}: more than {intensity.limit} {what} "
            f"within {intensity.period:g} s. Its children were stopped; the cause is its last error."
        )


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


class Supervisor:
    """One supervision tree (or, built by its parent, a branch of one). Trio side throughout.

    `random` draws the jitter. All methods but `run`, `stop` and `stop_child` answer at once, in any
    state of the tree; those three wait for nothing that has no deadline.
    """

    def __init__(
        self,
        name: str,
        spec: SupervisorSpec,
        *,
        clock: Clock,
        random: Random,
        log: FilteringBoundLogger | None = None,
        graveyard: Graveyard | None = None,
    ) -> None:
        _refuse_double_names(name, spec)
        self.name = name
        self.report = StopReport()
        """Of the last stop."""
        self._spec = spec
        self._clock = clock
        self._random = random
        self._plain_log = (
            log if log is not None else cast("FilteringBoundLogger", structlog.get_logger("supervisor"))
        )
        self._log = self._plain_log.bind(supervisor=name)
        self._graveyard = graveyard if graveyard is not None else Graveyard()
        self._crashes = RestartWindow(spec.intensity)
        self._failed_starts = RestartWindow(spec.start_intensity)
        self._scope = trio.CancelScope()
        self._failure: BaseException | None = None
        self._running = False
        self._over = trio.Event()
        self._children = [self._child(each) for each in spec.children]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> StopReport:
        """Start the children in order, keep them, and stop them in reverse order.

        Ends by `stop()`, returning what was stopped; with `StartFailed` or `RestartLimitExceeded`; with
        a child's KeyboardInterrupt or SystemExit; or by cancellation. In every case the children are
        stopped first, which takes at most the spec's `stop_budget()` and is not interrupted.
        """
        await self._live(task_status.started)
        return self.report

    async def live(self, context: ActorContext) -> None:
        """Be a child: what the parent runs as this branch's life."""
        await self._live(context.started)

    async def stop(self) -> StopReport:
        """Stop every child and end `run`. Idempotent; at most `stop_budget()` seconds."""
        if self._running:
            self._scope.cancel("stop of the supervisor")
            await self._over.wait()
        return self.report

    async def stop_child(self, name: str) -> StopReport:
        """Stop one child (with all below it); nobody is restarted for it. Idempotent.

        Raises `UnknownActor`. A temporary child is forgotten.
        """
        _, child = self._locate(name)
        child.wanted = False
        child.order = None
        departures = await child.stop("stopped by the operator")
        child.wake()
        return StopReport(departures, self.zombies())

    def restart(self, name: str) -> None:
        """Restart a child, with the siblings that its supervisor's strategy names, or start a stopped
        one (alone). Returns at once; not counted, no backoff. Raises `UnknownActor`, `ActorBusy`."""
        owner, child = self._locate(name)
        state = child.status().state
        if not owner.running or state in (ActorState.STARTING, ActorState.STOPPING, ActorState.RESTARTING):
            raise ActorBusy(name, state)
        child.wanted = True
        child.order = Order.RESTART if child.life is not None else Order.START
        child.wake()

    def pause(self, name: str) -> None:
        """Hold a child, and all below it, at its next gate. Returns at once. Raises `UnknownActor`."""
        self._locate(name)[1].pause()

    def resume(self, name: str) -> None:
        """Let it go on. Returns at once. Raises `UnknownActor`."""
        self._locate(name)[1].resume()

    def pause_all(self) -> None:
        for child in self._children:
            child.pause()

    def resume_all(self) -> None:
        for child in self._children:
            child.resume()

    def find(self, name: str) -> ActorStatus:
        """Raises `UnknownActor`."""
        return self._locate(name)[1].status()

    def children(self) -> tuple[ActorStatus, ...]:
        """The direct children in start order."""
        return tuple(child.status() for child in self._children)

    def tree(self) -> tuple[ActorStatus, ...]:
        """Every child below, depth first, in start order."""
        return tuple(child.status() for _, child in self._walk())

    def zombies(self) -> tuple[Zombie, ...]:
        """Of the whole tree."""
        return self._graveyard.zombies()

    def statistics(self) -> SupervisorStatistics:
        now = self._clock.monotonic()
        present = self.children()
        return SupervisorStatistics(
            name=self.name,
            strategy=self._spec.strategy,
            states=tuple(
                (state, sum(1 for each in present if each.state is state))
                for state in ActorState
                if any(each.state is state for each in present)
            ),
            zombies=len(self.zombies()),
            restarts=sum(each.restarts for each in present),
            recent_restarts=self._crashes.count(now),
            intensity=self._spec.intensity,
            recent_failed_starts=self._failed_starts.count(now),
            start_intensity=self._spec.start_intensity,
            stop_budget=self._spec.stop_budget(),
        )

    @property
    def running(self) -> bool:
        return self._running

    def may_restart(self, child: Child, error: BaseException | None, *, started: bool) -> bool:
        """For a lane: count a restart; False when it is one too many."""
        window, intensity, what = (
            (self._crashes, self._spec.intensity, "restarts")
            if started
            else (self._failed_starts, self._spec.start_intensity, "failed starts")
        )
        if not window.exceeded_by_one_at(self._clock.monotonic()):
            return True
        failure = RestartLimitExceeded(self.name, child.spec.name, intensity, what)
        failure.__cause__ = error
        self._give_up(failure)
        return False

    def forget(self, child: Child) -> None:
        """For a lane: a temporary child is over."""
        if child in self._children:
            self._children.remove(child)

    async def _live(self, on_started: Callable[[], None]) -> None:
        self._running = True
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for lane in self._lanes():
                        nursery.start_soon(lane.run)
                    await self._boot()
                    on_started()
                    await trio.sleep_forever()
        finally:
            await self._bring_down()
            if self._failure is not None:
                raise self._failure  # outweighs an order to stop that came with it

    def _lanes(self) -> list[Lane]:
        groups = (
            [[child] for child in self._children]
            if self._spec.strategy is Strategy.ONE_FOR_ONE
            else [list(self._children)]
        )
        return [Lane(group, self._spec.strategy, self, self._random, self._log) for group in groups]

    async def _boot(self) -> None:
        """Start in order, each when the one before has started; the first failure is everybody's."""
        for child in tuple(self._children):
            if not child.wanted:
                continue
            life = child.spawn()
            budget = child.spec.start_budget()
            with trio.move_on_after(budget):
                await life.context.decided.wait()
            error = life.error
            if not life.context.decided.is_set():
                error = StartTimeout(child.spec.name, budget)
            if error is not None and not life.started and life.stop_asked_at is None:
                failure = StartFailed(self.name, child.spec.name, error)
                failure.__cause__ = error
                self._give_up(failure)
                await trio.sleep_forever()
            child.booted = True
            child.wake()

    async def _bring_down(self) -> None:
        departures: list[Departure] = []
        with trio.CancelScope(shield=True):
            for child in reversed(self._children):
                child.wanted = False
                departures.extend(await child.stop("stop of the supervisor"))
        self.report = StopReport(tuple(departures), self.zombies())
        if isinstance(self._failure, (StartFailed, RestartLimitExceeded)):
            self._failure.report = self.report
        self._running = False
        self._over.set()

    def _child(self, spec: ChildSpec) -> Child:
        return Child(
            spec, self.name, self._clock, self._plain_log, self._graveyard, self._branch, self._on_end
        )

    def _branch(self, name: str, spec: SupervisorSpec) -> Supervisor:
        return Supervisor(
            name,
            spec,
            clock=self._clock,
            random=self._random,
            log=self._plain_log,
            graveyard=self._graveyard,
        )

    def _on_end(self, error: BaseException | None) -> None:
        # Whoever raises one of these means the whole program: no restart, up through every parent.
        if error is not None and ends_program(error):
            self._give_up(error)

    def _give_up(self, failure: BaseException) -> None:
        if self._failure is None:
            self._failure = failure
            self._log.error("supervisor_gives_up", error=describe(failure))
            self._scope.cancel(describe(failure))

    def _walk(self) -> Iterator[tuple[Supervisor, Child]]:
        for child in self._children:
            yield self, child
            if child.nested is not None:
                yield from child.nested._walk()  # noqa: SLF001 - the same class

    def _locate(self, name: str) -> tuple[Supervisor, Child]:
        for owner, child in self._walk():
            if child.spec.name == name:
                return owner, child
        raise UnknownActor(name)


def _refuse_double_names(name: str, spec: SupervisorSpec) -> None:
    seen = {name}
    for each in spec.names():
        if each in seen:
            raise ValueError(f"two members of the tree below {name!r} are named {each!r}")
        seen.add(each)
