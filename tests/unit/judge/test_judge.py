"""Rule: readiness does not flap, does not depend on who asks, and a start is no recovery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import trio

from fusion_daemon.http.admin_routes import Component
from fusion_daemon.judge import FALL, LOOK_SECONDS, RISE, Judge
from fusion_daemon.runtime import ManualClock, TrioClock

ACTOR = Component("poller", True, "running", 0.0, None)
BRANCH = Component("oracle", True, "running", 0.0, None, branch=True)
DATABASE = Component("database", True, "running", 0.0, None)


NOW = 1_800_000_000.0


class Scene:
    """Components as they are found, and a judge of them."""

    def __init__(self, *components: Component) -> None:
        self.found = {each.name: each for each in components}
        self.clock = ManualClock(NOW)
        self.judge = Judge(lambda: list(self.found.values()), frozenset({"database"}), self.clock)

    def becomes(self, name: str, *, ready: bool = True, healthy: bool = True, reason: str | None = None) -> None:
        self.found[name] = replace(self.found[name], ready=ready, healthy=healthy, reason=reason)

    def after(self, seconds: float) -> Sequence[tuple[bool, bool]]:
        """Ready and healthy of each as shown, after so long and one look."""
        self.clock.advance(seconds)
        self.judge.look()
        return [(each.ready, each.healthy) for each in self.judge.components()]


def test_a_restart_is_not_shown_and_an_absence_is() -> None:
    scene = Scene(ACTOR)
    scene.becomes("poller", ready=False, healthy=False, reason="restarting")
    assert scene.after(0.5) == [(True, True)]
    assert scene.after(FALL - 1.0) == [(True, True)]
    assert scene.judge.components()[0].reason == "restarting", "what it is now is said at once"
    assert scene.after(1.0) == [(False, False)]


def test_what_nothing_works_without_is_believed_at_once() -> None:
    scene = Scene(DATABASE, ACTOR)
    scene.becomes("database", ready=False, healthy=False)
    assert scene.after(0.1) == [(False, False), (True, True)]


def test_a_recovery_has_to_last_and_says_so() -> None:
    scene = Scene(DATABASE)
    scene.becomes("database", ready=False, healthy=False)
    scene.after(0.1)
    scene.becomes("database")
    assert scene.after(1.0) == [(False, False)]
    (database,) = scene.judge.components()
    assert (database.ready_since, database.healthy_since) == (NOW + 0.1, NOW + 0.1)
    assert "counts as ready after 5 s" in (scene.judge.components()[0].reason or "")
    assert scene.after(RISE) == [(True, True)]
    assert scene.judge.components()[0].reason is None


def test_health_recovers_by_itself() -> None:
    scene = Scene(ACTOR)
    scene.becomes("poller", healthy=False, reason="old")
    assert scene.after(0.0) == [(True, True)]
    assert scene.after(FALL) == [(True, False)]
    scene.becomes("poller")
    assert scene.after(0.0) == [(True, False)]
    assert "counts as healthy after" in (scene.judge.components()[0].reason or "")
    assert scene.after(RISE) == [(True, True)]


def test_a_start_is_no_recovery() -> None:
    scene = Scene(replace(DATABASE), replace(ACTOR, ready=False, healthy=False, state="starting"))
    assert scene.after(1.0) == [(True, True), (False, False)]
    scene.becomes("poller")
    assert scene.after(0.1) == [(True, True), (True, True)]
    scene.becomes("poller", ready=False, healthy=False)
    assert scene.after(0.1)[1] == (True, True), "from then on it has patience"
    assert scene.after(FALL)[1] == (False, False)
    scene.becomes("poller")
    assert scene.after(0.1)[1] == (False, False), "and has to be patient"


def test_who_comes_later_is_believed_at_once() -> None:
    scene = Scene(DATABASE)
    scene.after(60.0)
    scene.found["poller"] = replace(ACTOR, ready=False)
    assert scene.after(0.1) == [(True, True), (False, True)]
    scene.becomes("poller")
    assert scene.after(0.1) == [(True, True), (True, True)]


def test_who_went_with_its_branch_comes_back_to_its_patience() -> None:
    """
    branch  running  restarting  running
    poller  running  -           starting  running
    """
    scene = Scene(BRANCH, ACTOR)
    assert scene.after(60.0) == [(True, True)], "of a branch that is well nothing is told"
    scene.becomes("oracle", ready=False, healthy=False)
    del scene.found["poller"]
    assert scene.after(1.0) == [], "nor of one that restarts"
    scene.becomes("oracle")
    scene.found["poller"] = replace(ACTOR, ready=False, healthy=False)
    assert scene.after(1.0) == [(True, True)]
    scene.becomes("poller")
    assert scene.after(1.0) == [(True, True)]


def test_a_branch_that_stays_away_is_shown() -> None:
    scene = Scene(BRANCH)
    scene.becomes("oracle", ready=False, healthy=False)
    scene.after(0.5)
    assert scene.after(FALL) == [(False, False)]
    scene.becomes("oracle")
    assert scene.after(0.5) == [(False, False)]
    assert scene.after(RISE) == []


def test_what_was_found_ages_when_nobody_looks_any_more() -> None:
    scene = Scene(DATABASE, replace(ACTOR, data_age=3.0))
    scene.clock.advance(4.0)
    assert [each.data_age for each in scene.judge.components()] == [None, 7.0]


async def test_it_looks_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    looks: list[float] = []

    def look() -> Sequence[Component]:
        looks.append(trio.current_time())
        return [ACTOR]

    judge = Judge(look, frozenset(), TrioClock(0.0))
    for _ in range(3):
        judge.components()
    with trio.move_on_after(10 * LOOK_SECONDS + 0.1):
        await judge.watch()
    assert looks == [LOOK_SECONDS * each for each in range(11)], "asked or not"
