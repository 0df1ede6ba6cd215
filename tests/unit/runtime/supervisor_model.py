"""What a supervisor of puppets does, without tasks: the reference that the real one is compared with.

Starts and stops take no time here; only backoffs do, each at its ceiling. One heal per lane: under
one_for_one a lane is a child, else it is everybody.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

from fusion_daemon.runtime import AutoShutdown, Backoff, Intensity, Restart, Strategy


@dataclass(eq=False, slots=True)
class Part:
    """One child."""

    name: str
    restart: Restart
    significant: bool
    wanted: bool = True
    alive: bool = False
    lives: int = 0
    failures: int = 0
    started: float = 0.0
    paused: bool = False

    @property
    def state(self) -> str:
        return "running" if self.alive else "restarting" if self.wanted else "stopped"


@dataclass(eq=False, slots=True)
class Heal:
    """A group that is down until `due`."""

    group: list[Part]
    due: float
    invited: set[Part]


@dataclass(eq=False)
class Model:
    strategy: Strategy
    auto_shutdown: AutoShutdown
    backoff: Backoff
    intensity: Intensity
    now: float = 0.0
    parts: list[Part] = field(default_factory=list)
    heals: list[Heal] = field(default_factory=list)
    starts: defaultdict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    born: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    journal: list[str] = field(default_factory=list)
    crashes: list[float] = field(default_factory=list)
    failed_starts: list[float] = field(default_factory=list)
    over: str = ""

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while not self.over and self.heals and min(each.due for each in self.heals) <= end:
            heal = min(self.heals, key=lambda each: each.due)
            self.now = max(self.now, heal.due)
            self.heals.remove(heal)
            self._bring_up(heal.group, heal.invited)
        self.now = end

    def leave(self, part: Part, *, crash: bool) -> None:
        """It crashes, or returns."""
        part.alive = False
        part.failures = 1 if self.now - part.started >= self.backoff.stable_after else part.failures + 1
        if part.restart is Restart.PERMANENT or (part.restart is Restart.TRANSIENT and crash):
            if self._counted(self.crashes):
                self._go_down(part, self.backoff.ceiling(part.failures))
        else:
            self._end_for_good(part)

    def stop(self, part: Part) -> None:
        if part.alive:
            self._end(part)
        part.wanted = False
        if part.restart is Restart.TEMPORARY:
            self.parts.remove(part)
        self._drop_idle_heals()

    def order(self, part: Part) -> bool:
        """Restart it or start it; False: it is busy."""
        if part.state == "restarting":
            return False
        part.wanted = True
        self._go_down(part, 0.0, alone=not part.alive)
        return True

    def add(self, part: Part) -> bool:
        """False: it did not start."""
        outcome = self._start(part)
        if outcome == "fail":
            return False
        part.wanted = outcome == "ok"
        if part.wanted or part.restart is not Restart.TEMPORARY:
            self.parts.append(part)
        return True

    def delete(self, part: Part) -> bool:
        if part.state != "stopped":
            return False
        self.parts.remove(part)
        return True

    def finish(self, why: str) -> None:
        if not self.over:
            self.over = why
            self.heals.clear()
            for part in reversed(self.parts):
                part.wanted = False
                if part.alive:
                    self._end(part)

    def recent(self, moments: list[float]) -> int:
        return sum(1 for each in moments[-self.intensity.limit - 1 :] if self.now - each <= self.intensity.period)

    def _go_down(self, part: Part, delay: float, *, alone: bool = False) -> None:
        """Down with its group, together with one that waits already in the same lane."""
        due, invited, first = self.now + delay, set[Part](), part
        waiting = next((each for each in self.heals if self._same_lane(each, part)), None)
        if waiting is not None:
            self.heals.remove(waiting)
            due, invited, alone = max(due, waiting.due), waiting.invited, False
            first = next(each for each in self.parts if each is part or each in waiting.group)
        self._take_down(first, due, invited, alone=alone)

    def _take_down(self, first: Part, due: float, invited: set[Part], *, alone: bool = False) -> None:
        group = self.parts if self.strategy is Strategy.ONE_FOR_ALL else self.parts[self.parts.index(first) :]
        group = [first] if alone or self.strategy is Strategy.ONE_FOR_ONE else list(group)
        for each in group:
            each.wanted = each.wanted or each not in invited
        invited.update(group)
        for each in reversed(group):
            if each.alive:
                self._end(each)
            if each.restart is Restart.TEMPORARY and each is not first:
                each.wanted = False
                self.parts.remove(each)
        if due > self.now:
            self.heals.append(Heal(group, due, invited))
            self._drop_idle_heals()
        else:
            self._bring_up(group, invited)

    def _bring_up(self, group: list[Part], invited: set[Part]) -> None:
        for part in group:
            if part not in self.parts or not part.wanted or part.alive or self.over:
                continue
            outcome = self._start(part)
            if outcome == "ignore":
                self._rest(part)
            elif outcome == "fail":
                part.failures += 1
                if part.restart is not Restart.TEMPORARY:
                    if self._counted(self.failed_starts):
                        self._take_down(part, self.now + self.backoff.ceiling(part.failures), invited)
                    return
                self._end_for_good(part)

    def _start(self, part: Part) -> str:
        part.lives += 1
        self.born[part.name] += 1
        outcome = self.starts[part.name].popleft() if self.starts[part.name] else "ok"
        self.journal.append(f"{'start' if outcome == 'ok' else outcome} {part.name}{self.born[part.name]}")
        part.alive, part.started = outcome == "ok", self.now
        return outcome

    def _end(self, part: Part) -> None:
        part.alive = False
        self.journal.append(f"stop {part.name}{self.born[part.name]}")

    def _end_for_good(self, part: Part) -> None:
        self._rest(part)
        others = any(each.significant and each.wanted for each in self.parts if each is not part)
        all_gone = self.auto_shutdown is AutoShutdown.ALL and not others
        if part.significant and (self.auto_shutdown is AutoShutdown.ANY or all_gone):
            self.finish("finished")

    def _rest(self, part: Part) -> None:
        part.wanted = False
        if part.restart is Restart.TEMPORARY:
            self.parts.remove(part)

    def _counted(self, moments: list[float]) -> bool:
        moments.append(self.now)
        if self.recent(moments) > self.intensity.limit:
            self.finish("gave up")
        return not self.over

    def _same_lane(self, heal: Heal, part: Part) -> bool:
        return self.strategy is not Strategy.ONE_FOR_ONE or part in heal.group

    def _drop_idle_heals(self) -> None:
        self.heals = [heal for heal in self.heals if any(each.wanted for each in heal.group)]
