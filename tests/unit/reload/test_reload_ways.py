"""Rule: a reload is recorded before it is begun, and again with its outcome, whichever way it was asked for."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, field

import pytest
import structlog
import trio
import trio.testing
from structlog.testing import capture_logs

from fusion_daemon.accounts.audit import By
from fusion_daemon.domain.failure import Failure
from fusion_daemon.reload import LastReload, Reloaded, ReloadRefused
from fusion_daemon.reload_answer import ReloadAnswer, StepAnswer
from fusion_daemon.reload_plan import Action, ReloadPlan, Step
from fusion_daemon.reload_ways import BY_SIGNAL, AuditedReloads, reload_families
from fusion_daemon.store.writes import Commit, Execute

PLAN = ReloadPlan((Step(Action.RESTART, "risk", ("risk.hysteresis_bps",)),), (), ())
REFUSED = ReloadRefused("It changes daemon.instance.", "Nothing was applied.", "Restart.")
OPS = By("ops", "request-1")


class Away(Failure):
    """The fake store's own."""


@dataclass
class World:
    """A reloader and an audit trail that note what happens, in order; both can fail."""

    fails: bool = False
    away: bool = False
    notes: list[tuple[str, ...]] = field(default_factory=list)
    news: trio.Event = field(default_factory=trio.Event)
    last: LastReload = field(default_factory=lambda: LastReload(True, 0.0, "", "hash"))

    async def reload(self, *, dry_run: bool) -> Reloaded:
        await trio.lowlevel.checkpoint()
        if self.fails:
            raise REFUSED
        self.notes.append(("dry run" if dry_run else "reloaded",))
        return Reloaded(dry_run, PLAN, (), "hash")

    async def wait_and_reload(self) -> Reloaded:
        return await self.reload(dry_run=False)

    async def commit(self, commit: Commit) -> None:
        await trio.lowlevel.checkpoint()
        if self.away:
            self.news.set()
            raise Away("The database is away.", "Nothing was recorded.", "Wait.")
        (write,) = commit.writes
        assert isinstance(write, Execute)
        principal, action, target, outcome, detail, *_ = map(str, write.args)
        assert (action, target) == ("config.reload", "fusion-prime")
        self.notes.append((principal, outcome, detail))
        if outcome != "requested":
            self.news.set()


def ways(world: World) -> AuditedReloads:
    return AuditedReloads(world, world, "fusion-prime", structlog.get_logger())


def row(outcome: str, principal: str = "ops") -> tuple[str, ...]:
    detail = "{}"
    if outcome == "done":
        steps = [{"action": "restart", "target": "risk", "because": ["risk.hysteresis_bps"]}]
        detail = json.dumps({"steps": steps, "configuration": "hash"}, separators=(",", ":"))
    return (principal, outcome, detail)


async def test_it_is_recorded_before_and_after() -> None:
    world = World()
    await ways(world).ask(OPS, dry_run=False)
    assert world.notes == [row("requested"), ("reloaded",), row("done")]


async def test_a_dry_run_leaves_no_row() -> None:
    world = World()
    await ways(world).ask(OPS, dry_run=True)
    assert world.notes == [("dry run",)]


async def test_one_that_fails_is_recorded_as_such() -> None:
    world = World(fails=True)
    with pytest.raises(ReloadRefused):
        await ways(world).ask(OPS, dry_run=False)
    assert world.notes == [row("requested"), row("failed: ReloadRefused")]


async def test_one_that_cannot_be_recorded_is_not_begun() -> None:
    world = World(away=True)
    with pytest.raises(Away):
        await ways(world).ask(OPS, dry_run=False)
    assert world.notes == []


async def test_a_signal_is_a_reload_and_what_fails_ends_nobody() -> None:
    world = World()
    async with trio.open_nursery() as nursery:
        may = trio.Event()
        may.set()
        await nursery.start(ways(world).on_signal, may)
        with capture_logs() as logs:
            for world.away, world.fails in ((True, False), (False, True), (False, False)):
                world.news = trio.Event()
                os.kill(os.getpid(), signal.SIGHUP)
                await world.news.wait()
        nursery.cancel_scope.cancel()
    assert world.notes == [
        row("requested", BY_SIGNAL),
        row("failed: ReloadRefused", BY_SIGNAL),
        row("requested", BY_SIGNAL),
        ("reloaded",),
        row("done", BY_SIGNAL),
    ]
    assert [each["event"] for each in logs] == ["reload_by_signal_failed"] * 2


async def test_a_signal_that_comes_too_early_is_obeyed_when_it_may_be() -> None:
    world = World()
    async with trio.open_nursery() as nursery:
        may = trio.Event()
        await nursery.start(ways(world).on_signal, may)
        os.kill(os.getpid(), signal.SIGHUP)
        await trio.testing.wait_all_tasks_blocked()
        assert world.notes == []
        may.set()
        await world.news.wait()
        nursery.cancel_scope.cancel()
    assert ("reloaded",) in world.notes


def test_what_is_scraped_says_whether_when_and_what() -> None:
    last = LastReload(False, 7.0, "why", "hash", successes=3, failures=2)
    told = {each.name: [(s.value, s.labels) for s in each.samples] for each in reload_families(last)}
    assert told == {
        "fusion_reload_succeeded": [(0.0, ())],
        "fusion_reload_timestamp_seconds": [(7.0, ())],
        "fusion_reloads_total": [(3, ("done",)), (2, ("failed",))],
        "fusion_configuration_info": [(1, ("hash",))],
    }


def test_a_person_reads_the_plan_in_its_order_and_what_hinders_it() -> None:
    steps = (StepAnswer(Action.UPDATE, "logging", ("logging.level",)), StepAnswer(Action.RESTART, "risk", ("a", "b")))
    assert ReloadAnswer(False, steps, (), ("w",), "h").text.splitlines() == [
        "update logging: logging.level",
        "restart risk: a, b",
        "warning: w",
        "Done: 2 steps.",
    ]
    assert ReloadAnswer(True, steps, (), (), "h").text.endswith("\nNothing was changed yet: this was a dry run.")
    assert ReloadAnswer(True, (), ("daemon.instance",), (), "h").text.splitlines() == [
        "refused daemon.instance: only a restart of the daemon changes it",
        "A reload would be refused; nothing was changed.",
    ]
    assert ReloadAnswer(False, (), (), (), "h").text == "There is nothing to do."
