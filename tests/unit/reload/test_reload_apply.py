"""Rule: after a reload the house stands by the new configuration or by the old one, as a whole.

    read ─▶ check ─▶ plan ─▶ step ─▶ step ─╳ fails
                                      │
    the old configuration  ◀── undone ◀── undone
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fusion_daemon.config import Config, ConfigurationInvalid
from fusion_daemon.config_hash import configuration_hash
from fusion_daemon.domain.failure import Failure
from fusion_daemon.reload import ReloadBusy, Reloader, ReloadFailed, ReloadRefused
from fusion_daemon.reload_plan import Action, Step
from fusion_daemon.runtime import StartFailed
from fusion_daemon.secret_files import SecretSnapshot

NO_SECRETS = SecretSnapshot({})
BAD = ConfigurationInvalid("It is bad.", "Nothing was read.", "Mend it.")
CHAINS = [{"id": id_, "name": f"c{id_}", "rpc_urls": ["http://node.example"]} for id_ in (1, 2, 3)]
OLD: dict[str, Any] = {"chains": CHAINS[:2]}
NEW: dict[str, Any] = {
    "chains": CHAINS[1:],
    "logging": {"level": "debug"},
    "risk": {"hysteresis_bps": 300},
    "retention": {"journal_days": 30},
}
STEPS = [
    "update logging",
    "update retention",
    "add chain:3",
    "restart risk",
    "restart oracle",
    "restart transactions",
    "remove chain:1",
]
NOW = 1_800_000_000.0


class StoppedClock:
    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0


@dataclass
class World:
    """reload's Living: what each target stands by, `old` or `new`, with fault switches."""

    file: Config | Failure
    stands: dict[str, str] = field(default_factory=dict)
    faults: set[tuple[str, str]] = field(default_factory=set)
    """(target, stand) whose steps fail."""
    hang_at: str = ""
    hanging: trio.Event = field(default_factory=trio.Event)
    go_on: trio.Event = field(default_factory=trio.Event)
    told: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    announced: list[str] = field(default_factory=list)
    stubborn: set[str] = field(default_factory=set)
    """Targets of which nothing can be insisted on."""

    def read(self) -> tuple[Config, SecretSnapshot]:
        if isinstance(self.file, Failure):
            raise self.file
        return self.file, NO_SECRETS

    def design(self, config: Config) -> str:
        return "new"

    async def take(self, step: Step, to: str) -> None:
        self.told.append(f"{step.action} {step.target}")
        await trio.lowlevel.checkpoint()
        if step.target == self.hang_at:
            self.hanging.set()
            await self.go_on.wait()
        if (step.target, to) in self.faults:
            raise StartFailed("root", step.target, ValueError("broken"))
        self._put(step, to)

    async def insist(self, step: Step, to: str) -> None:
        self.told.append(f"insist {step.target}")
        if step.target in self.stubborn:
            raise ValueError("no")
        self._put(step, to)

    async def settle(self, to: str) -> Sequence[str]:
        self.settled.append(to)
        return ["late"]

    @contextmanager
    def announce(self) -> Iterator[None]:
        self.announced.append("begun")
        yield
        self.announced.append("over")

    def _put(self, step: Step, to: str) -> None:
        if step.action is Action.REMOVE:
            del self.stands[step.target]
        else:
            self.stands[step.target] = to


TARGETS = ("logging", "retention", "risk", "oracle", "transactions", "chain:1", "chain:2")
STANDING_OLD = dict.fromkeys(TARGETS, "old")
STANDING_NEW = dict.fromkeys((*TARGETS[:5], "chain:3"), "new") | {"chain:2": "old"}


def world(file: Config | Failure | None = None) -> World:
    return World(file or Config.model_validate(NEW), dict(STANDING_OLD))


def reloader(living: World) -> Reloader[str]:
    log = structlog.get_logger()
    made = Reloader(Config.model_validate(OLD), NO_SECRETS, living, "old", StoppedClock(), log, living.announce)
    made.open()
    return made


async def test_steps_are_taken_in_the_plans_order_and_the_new_stands() -> None:
    living = world()
    one = reloader(living)
    done = await one.reload(dry_run=False)
    assert living.told == STEPS
    assert living.stands == STANDING_NEW
    assert living.settled == ["new"]
    assert living.announced == ["begun", "over"]
    assert done.warnings == (*done.plan.warnings, "late")
    assert (one.last.succeeded, one.last.at, one.last.successes) == (True, NOW, 1)
    assert one.last.configuration == done.configuration == configuration_hash(Config.model_validate(NEW))
    assert (await one.reload(dry_run=False)).plan.steps == (), "the new one is what the next is compared with"


async def test_a_dry_run_tells_the_plan_and_touches_nothing() -> None:
    living = world()
    one = reloader(living)
    before = one.last
    done = await one.reload(dry_run=True)
    assert [f"{each.action} {each.target}" for each in done.plan.steps] == STEPS
    assert (living.told, living.settled, living.announced, one.last) == ([], [], [], before)


async def test_what_failed_is_undone_in_reverse_with_the_old() -> None:
    living = world()
    living.faults = {("oracle", "new")}
    one = reloader(living)
    with capture_logs() as logs, pytest.raises(ReloadFailed, match="restart oracle.*StartFailed.*as a whole"):
        await one.reload(dry_run=False)
    assert living.told == [
        *STEPS[:5],
        "restart risk",
        "remove chain:3",
        "update retention",
        "update logging",
    ]
    assert living.stands == STANDING_OLD
    assert living.settled == []
    assert living.announced == ["begun"], "the fake's; the real one says when it is over"
    assert not one.last.succeeded
    assert one.last.failures == 1
    assert one.last.configuration == configuration_hash(Config.model_validate(OLD))
    assert [each["event"] for each in logs] == ["reload_step_failed", "reload_failed"]
    living.faults = set()
    await one.reload(dry_run=False)
    assert living.stands == STANDING_NEW, "the same once more, when the cause is mended"


async def test_what_does_not_start_by_the_old_either_is_described_so_and_named() -> None:
    living = world()
    living.faults = {("oracle", "new"), ("risk", "old")}
    with capture_logs(), pytest.raises(ReloadFailed, match="but risk has yet to start with it"):
        await reloader(living).reload(dry_run=False)
    assert living.told[5:7] == ["restart risk", "insist risk"]
    assert living.stands == STANDING_OLD


async def test_one_that_cannot_be_undone_at_all_keeps_no_other_from_it() -> None:
    living = world()
    living.faults, living.stubborn = {("oracle", "new"), ("risk", "old")}, {"risk"}
    with capture_logs() as logs, pytest.raises(ReloadFailed, match="risk has yet to start"):
        await reloader(living).reload(dry_run=False)
    assert living.stands == STANDING_OLD | {"risk": "new"}
    assert "reload_undo_given_up" in [each["event"] for each in logs]


@given(st.sets(st.tuples(st.sampled_from([*TARGETS, "chain:3"]), st.sampled_from(["old", "new"]))))
def test_whatever_fails_it_is_the_new_or_the_old_as_a_whole(faults: set[tuple[str, str]]) -> None:
    async def play() -> None:
        living = world()
        living.faults = faults
        one = reloader(living)
        try:
            with capture_logs():
                await one.reload(dry_run=False)
        except ReloadFailed:
            assert living.stands == STANDING_OLD
            assert not one.last.succeeded
        else:
            assert living.stands == STANDING_NEW
            assert one.last.succeeded

    trio.run(play)


async def test_a_bad_file_is_kept_out_and_counted() -> None:
    living = world(BAD)
    one = reloader(living)
    with capture_logs(), pytest.raises(ConfigurationInvalid):
        await one.reload(dry_run=True)
    assert one.last.succeeded, "a dry run is no reload"
    with capture_logs(), pytest.raises(ConfigurationInvalid):
        await one.reload(dry_run=False)
    assert (living.told, living.announced) == ([], [])
    assert (one.last.succeeded, one.last.why_not) == (False, str(BAD))
    living.file = Config.model_validate(NEW)
    await one.reload(dry_run=False)
    assert one.last.succeeded


async def test_what_only_a_restart_changes_is_named_and_nothing_else_is_done() -> None:
    living = world(Config.model_validate(NEW | {"daemon": {"instance": "other"}, "http": {"port": 1}}))
    one = reloader(living)
    with capture_logs(), pytest.raises(ReloadRefused, match=r"changes daemon.instance, http.port"):
        await one.reload(dry_run=False)
    assert living.told == []
    assert (await one.reload(dry_run=True)).plan.refused == ("daemon.instance", "http.port")


async def test_one_at_a_time_a_second_is_refused_or_waits() -> None:
    living = world()
    living.hang_at = "risk"
    one = reloader(living)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: one.reload(dry_run=False))
        await living.hanging.wait()
        with pytest.raises(ReloadBusy):
            await one.reload(dry_run=True)
        nursery.start_soon(one.wait_and_reload)
        await trio.testing.wait_all_tasks_blocked()
        assert living.settled == []
        living.go_on.set()
    assert living.settled == ["new", "new"]
    assert living.told == STEPS, "the second had nothing to do"


async def test_none_while_it_is_closed() -> None:
    one = reloader(world())
    await one.close()
    with pytest.raises(ReloadBusy):
        await one.reload(dry_run=False)
    one.open()
    await one.reload(dry_run=False)


async def test_once_begun_it_goes_on_to_its_end_whoever_stops_waiting() -> None:
    living = world()
    living.hang_at = "risk"
    one = reloader(living)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: one.reload(dry_run=False))
        await living.hanging.wait()
        nursery.cancel_scope.cancel()
        living.go_on.set()
    assert living.stands == STANDING_NEW
    assert one.last.successes == 1
    await one.reload(dry_run=False)
