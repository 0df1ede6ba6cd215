"""How children come back: one lane heals one thing at a time.

Under one_for_one every child has a lane of its own, so one that waits out its backoff holds nobody
up. Under one_for_all and rest_for_one all children share a lane, because they go down and up together.

The rules, after Erlang/OTP's supervisor:
* one_for_all: everybody is stopped, last started first, then started in order. A child that fails to
  start takes those started again down with it, and all are tried again.
* rest_for_one: the same for the child and those after it; those before it are left alone, also when a
  start fails.
* A temporary bystander is stopped and forgotten, not started again; others come back even if the
  operator had stopped them.
* While one heals, an earlier child that crashes, or that is ordered back, widens the circle at once.
* A significant child that ends by itself for good is its supervisor's news.

INVARIANT: a lane waits only on its bell, with a deadline (backoff, start) or without work; the operator
rings the bell and never waits for a lane. So neither can hang the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol

import trio
from structlog.typing import FilteringBoundLogger

from fusion_daemon.runtime.child import Child, Order
from fusion_daemon.runtime.life import describe
from fusion_daemon.runtime.restart import Aftermath, Restart, Strategy, aftermath
from fusion_daemon.runtime.topic import Bell


class StartTimeout(Exception):
    """An actor did not call `started()` in time."""

    def __init__(self, child: str, seconds: float) -> None:
        self.child = child
        super().__init__(f"{child} did not start within {seconds:g} s and was stopped.")


class Ward(Protocol):
    """What a lane asks of its supervisor."""

    def may_restart(self, child: Child, error: BaseException | None, *, started: bool) -> bool:
        """Count it; False when that was one too many and the supervisor is coming down."""
        ...

    def forget(self, child: Child) -> None:
        """Nobody keeps its place: it is over."""
        ...

    def significant_end(self, child: Child) -> None:
        """A significant child ended by itself and does not come back."""
        ...


class Roster:
    """Children by name, in start order.

    INVARIANT: one that changes its order is replaced as a whole, so a reader on any thread sees the
    children before or after it.
    """

    __slots__ = ("children",)

    def __init__(self, *children: Child) -> None:
        self.children = {child.spec.name: child for child in children}

    def __contains__(self, child: Child) -> bool:
        return self.children.get(child.spec.name) is child

    def all(self) -> tuple[Child, ...]:
        return tuple(self.children.values())


@dataclass(frozen=True, slots=True)
class Patient:
    """A child to bring back after `delay` seconds."""

    child: Child
    delay: float
    alone: bool = False
    """Without its strategy: the operator starts one that was stopped."""
    ordered: bool = False
    """The operator wants it: whoever is stopped for it may drain."""


class Lane:
    """Trio side; `run` ends when a lane for one has lost it, or by cancellation at any point."""

    def __init__(
        self,
        roster: Roster,
        strategy: Strategy,
        ward: Ward,
        random: Random,
        log: FilteringBoundLogger,
    ) -> None:
        self.bell = Bell()
        self._roster = roster
        self._strategy = strategy
        self._ward = ward
        self._random = random
        self._log = log

    def admit(self, child: Child) -> None:
        """Care for a child of the roster from now on."""
        child.wake = self.bell.ring
        self.bell.ring()

    def follow(self, strategy: Strategy) -> None:
        """From the next healing on. One of the two for groups becomes the other."""
        self._strategy = strategy

    async def run(self) -> None:
        while self._roster.children or self._strategy is not Strategy.ONE_FOR_ONE:
            patient = self._next_patient()
            if patient is None:
                await self.bell.wait()
            else:
                await self._heal(patient)

    def _next_patient(self, before: Child | None = None, *, starts: bool = True) -> Patient | None:
        """The first child (of those before `before`) that ended by itself and comes back, or that the
        operator ordered back; without `starts`, who was stopped keeps his order for later."""
        for child in self._roster.all():
            if child is before:
                return None
            later = child.order is Order.START and child.life is None and not starts
            patient = self._examine(child) if child.booted and not later else None
            if patient is not None:
                return patient
        return None

    def _examine(self, child: Child) -> Patient | None:
        order, child.order = child.order, None
        if child.life is not None and child.life.ended_by_itself:
            return self._after_exit(child)
        if order in (Order.RESTART, Order.REVIVE) and child.life is not None:
            return Patient(child, 0.0, ordered=order is Order.RESTART)
        if order is not None and child.life is None:
            return Patient(child, 0.0, alone=True)
        if child.passing and not child.wanted and child.life is None:
            self._ward.forget(child)
        return None

    def _after_exit(self, child: Child) -> Patient | None:
        assert child.life is not None
        started, lived, declined = child.life.started, child.life.lived(), child.life.declined
        error = child.collect()
        if declined:
            self._log.info("actor_not_needed", actor=child.spec.name)
            self._rest(child)
            return None
        verdict = aftermath(child.spec.restart, crashed=error is not None)
        child.fail(error, lived)
        if child.wanted and verdict is Aftermath.RESTART:
            # A return without `started()` is work that was done at once, not a failed start.
            return self._count(child, error, started=started or error is None)
        self._end(child)
        return None

    def _end(self, child: Child) -> None:
        by_itself = child.wanted
        self._rest(child)
        if by_itself and child.spec.significant:
            self._ward.significant_end(child)

    def _rest(self, child: Child) -> None:
        child.wanted = False
        if child.passing:
            self._ward.forget(child)

    def _count(self, child: Child, error: BaseException | None, *, started: bool) -> Patient | None:
        if not self._ward.may_restart(child, error, started=started):
            return None
        delay = child.spec.backoff.delay(child.failures, self._random)
        self._log.warning(
            "actor_restarting",
            actor=child.spec.name,
            delay_seconds=delay,
            failures=child.failures,
            error="" if error is None else describe(error),
        )
        return Patient(child, delay)

    def _group(self, patient: Patient) -> list[Child]:
        if patient.alone or self._strategy is Strategy.ONE_FOR_ONE:
            return [patient.child]
        booted = [child for child in self._roster.all() if child.booted]
        if self._strategy is Strategy.REST_FOR_ONE and patient.child in booted:
            return booted[booted.index(patient.child) :]
        return booted

    async def _heal(self, patient: Patient) -> None:
        invited: set[Child] = set()
        next_patient: Patient | None = patient
        while next_patient is not None:
            patient = next_patient
            group = self._group(patient)
            # Once each: what the operator stops while they heal stays stopped.
            for child in group:
                child.wanted = child.wanted or child not in invited
            invited.update(group)
            await self._take_down(group, patient)
            next_patient = await self._wait_out(patient, group)
            if next_patient is None:
                next_patient = await self._bring_up(group, starts=not patient.alone)

    async def _take_down(self, group: list[Child], cause: Patient) -> None:
        for child in reversed(group):
            if child.life is not None:
                await child.stop(f"restart of {cause.child.spec.name}", drain=cause.ordered)
            if child.passing and child is not cause.child:
                self._rest(child)

    async def _wait_out(self, patient: Patient, group: list[Child]) -> Patient | None:
        if patient.alone:
            return None
        deadline = trio.current_time() + patient.delay

        def over() -> bool:  # nobody is wanted any more, or the operator's replacement is there already
            return patient.child.life is not None or not any(child.wanted for child in group)

        intruder = await self._watch(over, deadline, None)
        if intruder is None:
            return None
        # They go on together, as the first of them all: one that came in after the group went down joins it.
        first = next(each for each in self._roster.all() if each is intruder.child or each in group)
        return Patient(first, max(deadline - trio.current_time(), intruder.delay), ordered=intruder.ordered)

    async def _bring_up(self, group: list[Child], *, starts: bool) -> Patient | None:
        for child in group:
            if not child.wanted or child.life is not None or child not in self._roster:
                continue
            life = child.spawn()
            budget = child.spec.start_budget()
            deadline = trio.current_time() + budget
            intruder = await self._watch(life.context.decided.is_set, deadline, child, starts=starts)
            if intruder is not None:
                return intruder
            failure: BaseException | None
            if not life.context.decided.is_set():
                await child.stop("start timeout", drain=False)
                failure = StartTimeout(child.spec.name, budget)
                child.note_start_timeout(failure)
            elif life.error is not None and not life.started and life.ended_by_itself:
                failure = child.collect()
            else:
                continue  # it runs, has done its work already, has none, or the operator stopped it
            child.fail(failure, None)
            if child.spec.restart is not Restart.TEMPORARY and child.wanted:
                return self._count(child, failure, started=False)
            self._end(child)
            await trio.lowlevel.checkpoint_if_cancelled()  # its end may have been its supervisor's
        return None

    async def _watch(
        self, over: Callable[[], bool], deadline: float, before: Child | None, *, starts: bool = True
    ) -> Patient | None:
        """Wait until `over()` or the deadline; a child that needs healing, of those earlier than `before`, ends it.

        Nobody heals alone within a healing: those after it, which still wait, would be left behind.
        """
        while not over():
            intruder = self._next_patient(before, starts=starts)
            if intruder is not None:
                return replace(intruder, alone=False)
            with trio.move_on_at(deadline) as scope:
                await self.bell.wait()
            if scope.cancelled_caught:
                return None
        return None
