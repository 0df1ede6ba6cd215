"""A child's place in the tree: it outlives the lives of the actor that fills it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

import trio
from structlog.typing import FilteringBoundLogger

from fusion_daemon.runtime.actor import Actor, ActorContext, Pause
from fusion_daemon.runtime.clock import Clock
from fusion_daemon.runtime.health import ActorState, ActorStatus, Health, HealthLevel
from fusion_daemon.runtime.life import Departure, Graveyard, Life, describe
from fusion_daemon.runtime.restart import Restart, failures_after
from fusion_daemon.runtime.spec import SETTLING, ChildSpec, SupervisorSpec
from fusion_daemon.runtime.trace import Trace

if TYPE_CHECKING:
    from fusion_daemon.runtime.branch import Branch


class Order(Enum):
    """What the operator wants a lane to do with a child."""

    START = auto()
    RESTART = auto()
    """After it has finished what it accepted."""
    REVIVE = auto()
    """It is stuck: nothing that it could finish is waited for."""


class Child:
    """INVARIANT: at most one life is current (`life`); one that outlived its stop is a zombie in the
    graveyard and no longer the child's."""

    def __init__(
        self,
        spec: ChildSpec,
        owner: str,
        clock: Clock,
        log: FilteringBoundLogger,
        graveyard: Graveyard,
        build: Callable[[str, SupervisorSpec], Branch],
        on_end: Callable[[BaseException | None], None],
        *,
        pooled: bool,
    ) -> None:
        self.spec = spec
        self.life: Life | None = None
        self.nested: Branch | None = None
        """The present, else the last, supervisor in this place."""
        self._former: Branch | None = None
        """The last one in the place that this one has succeeded."""
        self.wanted = True
        self.booted = False
        """Its first start is behind it; until then it belongs to who starts it, not to a lane."""
        self.order: Order | None = None
        self.failures = 0
        self.wake: Callable[[], None] = lambda: None
        """Rings its lane."""
        self._lives = 0
        self._last_error = ""
        self._last_error_at: float | None = None
        self._zombie: Life | None = None
        self._idle_since = clock.now()
        self._changed = trio.Event()
        """Set when its state has changed, and then replaced."""
        self._pause = Pause(self._change)
        self.trace = Trace(spec.name, clock)
        self._owner = owner
        self._clock = clock
        self._log = log.bind(actor=spec.name)
        self._graveyard = graveyard
        self._build = build
        self._on_end = on_end
        self._pooled = pooled

    @property
    def passing(self) -> bool:
        """Nobody keeps its place when it is over."""
        return self._pooled or self.spec.restart is Restart.TEMPORARY

    @property
    def alive(self) -> bool:
        return self.life is not None and not self.life.ended.is_set()

    def spawn(self) -> Life:
        """Begin a new life. The factory runs inside it, so its errors are the life's."""
        self._lives += 1
        context = ActorContext(self.spec.name, self._clock, self._log, self._pause, self._started, self.trace)
        self.life = Life(self._lives, context, self._body(), self._ended)
        self.life.begin()
        self._change()
        return self.life

    def stop_budget(self) -> float:
        """The longest that a stop can take now, with the children that a living branch has now."""
        if self.nested is not None and self.nested.running:
            return self.nested.stop_budget() + SETTLING
        return self.spec.stop_budget()

    def collect(self) -> BaseException | None:
        """Take note of a life that ended: its error. The place is empty afterwards."""
        assert self.life is not None
        life, self.life = self.life, None
        self._idle_since = self._clock.now()
        if life.error is not None:
            self._note(life.error)
        return life.error

    def fail(self, error: BaseException | None, lived: float | None) -> None:
        """Count a failure for the backoff; `lived` seconds since `started()`, None if it never was."""
        self.failures = failures_after(self.spec.backoff, self.failures, lived)
        if error is not None:
            self._log.error("actor_crashed", error=describe(error), life=self._lives, exc_info=error)

    def note_start_timeout(self, error: BaseException) -> None:
        self._note(error)

    def note_stuck(self, error: BaseException) -> None:
        self._note(error)
        self._log.error("actor_stuck", error=describe(error), whereabouts=self.whereabouts())

    async def stop(self, reason: str, *, drain: bool) -> tuple[Departure, ...]:
        """Tell the present life to stop and wait, at most its budget. Trio side.

        With `drain` it may finish first what it accepted, if its spec gives time for that. Cancelled
        meanwhile, or asked by several, it goes on with the deadlines of the first. Returns how the
        child, and the children below it, left; empty when it did not live.
        """
        life = self.life
        if life is None:
            return ()
        begun = trio.current_time()
        if life.stop_asked_at is None:
            self._log.info("actor_stopping", reason=reason)
        if drain and await self._drain(life, reason):
            reason = f"{reason}; not drained within {self.spec.drain_timeout:g} s"
        life.cancel(reason, self.spec.stop_timeout if self.nested is None else self.stop_budget())
        if not life.ended.is_set():
            with trio.move_on_at(life.stop_deadline):
                await life.ended.wait()
        return self._departed(life, trio.current_time() - begun)

    async def _drain(self, life: Life, reason: str) -> bool:
        """Whether it was given time, and that was not enough."""
        # Whom the operator holds at a gate, and who has yet to start, has nothing that it could finish. A
        # branch passes the word on to its children, each with a time of its own.
        able = life.started and not self._pause.requested and self.nested is None
        life.drain(reason, self.spec.drain_timeout if able else 0.0)
        if life.drain_deadline > trio.current_time() and not life.ended.is_set():
            with trio.move_on_at(life.drain_deadline):
                await life.ended.wait()
            return not life.ended.is_set()
        return False

    def _departed(self, life: Life, seconds: float) -> tuple[Departure, ...]:
        below = self.nested.report.departures if self.nested is not None else ()
        zombie = not life.ended.is_set()
        if zombie:
            self._bury(life)
        elif self.life is life:
            self.collect()
        error = "" if life.error is None else describe(life.error)
        if error:
            self._log.error("actor_failed_while_stopping", error=error, exc_info=life.error)
        whereabouts = life.as_zombie().whereabouts if zombie else ()
        departure = Departure(
            self.spec.name,
            seconds,
            error,
            zombie,
            life.drained,
            life.cancelled,
            whereabouts,
            supervisor=self.nested is not None,
        )
        return (*below, departure)

    def pause(self) -> None:
        self._pause.close()
        if self.nested is not None:
            self.nested.pause_all()

    def resume(self) -> None:
        self._pause.open()
        if self.nested is not None:
            self.nested.resume_all()

    def succeed(self, before: Child) -> None:
        """Take the place that `before` had in the last life of its branch: whom the operator holds there, and below
        it, he holds here."""
        if before._pause.requested:
            self._pause.close()
        self._former = before.nested or before._former

    def status(self) -> ActorStatus:
        state, since = self._state()
        context = self.life.context if self.life is not None else None
        beat = None if context is None else context.last_beat_monotonic
        data = None if context is None else context.data_since
        return ActorStatus(
            name=self.spec.name,
            supervisor=self._owner,
            is_supervisor=isinstance(self.spec.start, SupervisorSpec),
            state=state,
            since=since,
            restarts=max(self._lives - 1, 0),
            last_error=self._last_error,
            last_error_at=self._last_error_at,
            health=self._health(state, since),
            last_beat=None if context is None else context.last_beat,
            beat_age=None if beat is None else self._clock.monotonic() - beat,
            beat_limit=self.spec.beat_limit,
            data_age=None if data is None else self._clock.monotonic() - data,
            data_limit=self.spec.data_limit,
            required=self.spec.is_required(),
            pause_requested=self._pause.requested,
        )

    async def until(self, holds: Callable[[ActorStatus], bool]) -> ActorStatus:
        """Its first status that `holds`, looked at whenever its state has changed. Trio side."""
        while not holds(status := self.status()):
            await self._changed.wait()
        return status

    def whereabouts(self) -> tuple[str, ...]:
        """Where the tasks of its present life wait. Any thread."""
        life = self.life
        return () if life is None else life.whereabouts()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _state(self) -> tuple[ActorState, float]:
        life = self.life
        if life is not None and not life.ended.is_set():
            context = life.context
            if life.stop_asked_at is not None:
                return ActorState.STOPPING, life.stop_asked_at
            if context.started_at is None:
                return ActorState.STARTING, life.begun_at
            if context.gated_since is not None:
                return ActorState.PAUSED, context.gated_since
            return ActorState.RUNNING, context.started_at
        if self.wanted:
            return (ActorState.RESTARTING if self._lives else ActorState.STARTING), self._idle_since
        if self._zombie is not None:
            return ActorState.ZOMBIE, self._idle_since
        return ActorState.STOPPED, self._idle_since

    def _health(self, state: ActorState, since: float) -> Health:
        if state is ActorState.RESTARTING:
            return Health(HealthLevel.UNHEALTHY, f"restarting after {self._last_error or 'its end'}", since)
        if state is ActorState.ZOMBIE:
            return Health(HealthLevel.UNHEALTHY, "told to stop, and still running", since)
        if state is ActorState.STOPPED or self.life is None:
            return Health(HealthLevel.OK, "", since)
        if self._zombie is not None:
            return Health(HealthLevel.DEGRADED, "an earlier life of it would not stop", self._idle_since)
        return self.life.context.health

    def _body(self) -> Callable[[ActorContext], Awaitable[None]]:
        start = self.spec.start
        if isinstance(start, SupervisorSpec):
            former, self.nested = self.nested or self._former, self._build(self.spec.name, start)
            if former is not None:
                self.nested.succeed(former)
            if self._pause.requested:
                self.nested.pause_all()
            return self.nested.live
        self.nested = None

        async def run_actor(context: ActorContext) -> None:
            actor: Actor = start()
            await actor.run(context)

        return run_actor

    def _started(self) -> None:
        self._log.info("actor_started", life=self._lives)
        self._change()
        self.wake()

    def _ended(self, life: Life) -> None:
        if self._graveyard.release(life):
            self._log.warning("zombie_ended", life=life.number, exc_info=life.error)
            if self._zombie is life:
                self._zombie = None
        self._on_end(life.error)
        self._change()
        self.wake()

    def _bury(self, life: Life) -> None:
        self._graveyard.take_in(life)
        self._zombie = life
        self._idle_since = self._clock.now()
        if self.life is life:
            self.life = None
        zombie = life.as_zombie()
        self._log.error("actor_would_not_stop", life=life.number, age=zombie.age, whereabouts=zombie.whereabouts)

    def _note(self, error: BaseException) -> None:
        self._last_error = describe(error)
        self._last_error_at = self._clock.now()
