"""A reload: read, check, plan, apply in order, and back to the old where a step fails.

INVARIANTS
* One reload at a time, and none while the tree boots: who comes meanwhile waits, or is refused.
* Until everything of the new configuration has been read, checked and made, nothing is touched. A configuration that
  is bad, or that changes what only a restart can change, changes nothing.
* A reload that has begun to apply goes on to its end, the new configuration or the old one, whoever stops waiting.
* What failed is undone in reverse. Where even that fails, the old description is in force all the same, and the
  supervisor goes on trying to start it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import trio
from structlog.typing import FilteringBoundLogger

from fusion_daemon.config import Config
from fusion_daemon.config_hash import configuration_hash
from fusion_daemon.domain.failure import Failure
from fusion_daemon.reload_plan import ReloadPlan, Step, plan_reload, undoing
from fusion_daemon.runtime import Clock
from fusion_daemon.secret_files import SecretSnapshot, secret_changes

S = TypeVar("S")


class ReloadRefused(Failure):
    """The configuration changes what only a restart of the daemon can change."""


class ReloadFailed(Failure):
    """A step failed; what had been done was undone."""


class ReloadBusy(Failure):
    """Another reload is under way, or the daemon is starting."""


class Living(Protocol[S]):
    """What a reload acts on. Trio side."""

    def read(self) -> tuple[Config, SecretSnapshot]:
        """The file and the secrets that it names, as they are now. Blocks, in a thread. Raises
        ConfigurationInvalid, SecretMissing."""
        ...

    def design(self, config: Config) -> S:
        """All that the steps will need. Changes nothing. Raises the Failures of starting up."""
        ...

    async def take(self, step: Step, to: S) -> None:
        """Raises whatever hinders it: then its target is as it was."""
        ...

    async def insist(self, step: Step, to: S) -> None:
        """Describe its target so, whether or not it starts now."""
        ...

    async def settle(self, to: S) -> Sequence[str]:
        """Every step is taken: show it, and say by what is decided now. Warnings. Does not fail."""
        ...


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did, or would do."""

    dry_run: bool
    plan: ReloadPlan
    warnings: tuple[str, ...]
    configuration: str
    """Hash of what decides: of the new configuration."""


@dataclass(frozen=True, slots=True)
class LastReload:
    """Immutable, to be read from any thread. The start counts as one that succeeded."""

    succeeded: bool
    at: float
    """Unix seconds."""
    why_not: str
    configuration: str
    """Hash of what decides in force."""
    successes: int = 0
    failures: int = 0


class Reloader(Generic[S]):
    """Trio side. Closed until `open`."""

    def __init__(
        self,
        config: Config,
        secrets: SecretSnapshot,
        living: Living[S],
        present: S,
        clock: Clock,
        log: FilteringBoundLogger,
        announced: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """`announced`: the service manager hears of what happens inside."""
        self._config = config
        self._secrets = secrets
        self._living = living
        self._present = present
        self._clock = clock
        self._log = log
        self._announced = announced
        self._turn = trio.Semaphore(0, max_value=1)
        self.last = LastReload(True, clock.now(), "", configuration_hash(config))

    def open(self) -> None:
        """Reloads are welcome. Once after the making, and after each `close`."""
        self._turn.release()

    async def close(self) -> None:
        """Wait for the reload under way; none begins any more."""
        await self._turn.acquire()

    async def wait_and_reload(self) -> Reloaded:
        """As `reload`, after the one under way. Cancelled while it waits, nothing has happened."""
        await self._turn.acquire()
        return await self._in_turn(dry_run=False)

    async def reload(self, *, dry_run: bool) -> Reloaded:
        """Raises ReloadBusy, ReloadRefused, ReloadFailed, ConfigurationInvalid and the other Failures of starting
        up. Cancelled while it reads, nothing has happened; later it goes on to its end."""
        try:
            self._turn.acquire_nowait()
        except trio.WouldBlock:
            raise ReloadBusy(
                "Another reload is under way, or the daemon is still starting.",
                "This one was not begun.",
                "Ask again in a moment.",
            ) from None
        return await self._in_turn(dry_run=dry_run)

    async def _in_turn(self, *, dry_run: bool) -> Reloaded:
        try:
            return await self._reload(dry_run=dry_run)
        except Exception as error:
            if not dry_run:
                self._note(error)
                self._log.error("reload_failed", reason=str(error))
            raise
        finally:
            self._turn.release()

    async def _reload(self, *, dry_run: bool) -> Reloaded:
        new, secrets = await trio.to_thread.run_sync(self._living.read)
        changed = [each.name for each in secret_changes(new, self._secrets, secrets)]
        plan = plan_reload(self._config, new, changed)
        stand = self._living.design(new)
        if not dry_run:
            _refuse(plan)
            with trio.CancelScope(shield=True), self._announced():
                await self._apply(plan, stand)
                self._config, self._secrets, self._present = new, secrets, stand
                warnings = (*plan.warnings, *await self._living.settle(stand))
                self._note(None)
            told = [f"{step.action.value} {step.target}" for step in plan.steps]
            self._log.info("reloaded", steps=told, warnings=warnings, configuration=self.last.configuration)
            return Reloaded(False, plan, warnings, self.last.configuration)
        return Reloaded(True, plan, plan.warnings, configuration_hash(new))

    async def _apply(self, plan: ReloadPlan, to: S) -> None:
        taken: list[Step] = []
        for step in plan.steps:
            try:
                await self._living.take(step, to)
            except Exception as error:
                self._log.exception("reload_step_failed", action=step.action.value, target=step.target)
                torn = [each for done in reversed(taken) if (each := await self._undo(undoing(done))) is not None]
                raise _failed(step, error, torn) from error
            taken.append(step)

    async def _undo(self, step: Step) -> str | None:
        """What is not yet as it was."""
        try:
            await self._living.take(step, self._present)
        except Exception as error:  # noqa: BLE001 - whatever it was, the others are undone as well
            self._log.error("reload_undo_failed", target=step.target, exc_info=error)
            await self._insist(step)
            return step.target
        return None

    async def _insist(self, step: Step) -> None:
        try:
            await self._living.insist(step, self._present)
        except Exception as error:  # noqa: BLE001 - such as of a tree that comes down meanwhile
            self._log.error("reload_undo_given_up", target=step.target, exc_info=error)

    def _note(self, failure: Exception | None) -> None:
        before, failed = self.last, failure is not None
        self.last = LastReload(
            succeeded=not failed,
            at=self._clock.now(),
            why_not=str(failure or ""),
            configuration=configuration_hash(self._config),
            successes=before.successes + (not failed),
            failures=before.failures + failed,
        )


def _refuse(plan: ReloadPlan) -> None:
    if plan.refused:
        raise ReloadRefused(
            f"The configuration changes {', '.join(plan.refused)}.",
            "Only a restart of the daemon changes that, so nothing of it was applied.",
            "Restart the daemon, or take that change back.",
        )


def _failed(step: Step, error: Exception, torn: Sequence[str]) -> ReloadFailed:
    left = "the old configuration is in force again, as a whole"
    if torn:
        left = f"the old configuration is in force again, but {', '.join(torn)} has yet to start with it"
    return ReloadFailed(
        f"The step `{step.action.value} {step.target}` failed ({type(error).__name__}: {error}).",
        f"What had been done was undone: {left}.",
        "See the log, mend the cause, and reload again.",
    )
