"""Readiness and health as they are shown: looked at by a clock, so that no probe changes what another one sees.

Rules
* An actor that is away for less than FALL (it restarts, an answer was late) stays what it was; one that comes back
  has to stay for RISE. The lease, the database and the asyncio thread are believed at once when they fail: nothing
  works without them.
* What is well for the first time is believed at once: a start is no recovery. Who was gone for a while, with its branch
  of the tree, is no newcomer.
* What was found ages by itself between two looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import trio

from fusion_daemon.http.admin_routes import Component
from fusion_daemon.runtime import Clock, Patience, Truth

LOOK_SECONDS = 0.5
FALL = 5.0
"""Longer than a restart after a first crash takes, shorter than a load balancer's patience."""
RISE = 5.0
UNDERNEATH = Patience(0.0, RISE)
ACTOR = Patience(FALL, RISE)


@dataclass(frozen=True, slots=True)
class Truths:
    """Of one component."""

    ready: Truth
    healthy: Truth

    def looked(self, found: Component, now: float, patience: Patience) -> Truths:
        return Truths(self.ready.looked(found.ready, now, patience), self.healthy.looked(found.healthy, now, patience))


class Judge:
    """Looks on the trio side; `components` may be called from any thread."""

    def __init__(self, look: Callable[[], Sequence[Component]], foundation: frozenset[str], clock: Clock) -> None:
        """`foundation`: names of those components whose failure is believed at once."""
        self._look = look
        self._foundation = foundation
        self._clock = clock
        self._truths: dict[str, Truths] = {}
        """Also of those that are not there now; the configuration bounds how many names there are."""
        self._seen: tuple[float, Sequence[Component]] = (0.0, ())
        """When it looked last (monotonic seconds), and what is shown of what it found. Replaced as a whole."""
        self.look()

    def components(self) -> Sequence[Component]:
        """As of the last look, but for the ages."""
        at, shown = self._seen
        elapsed = self._clock.monotonic() - at
        return [each if each.data_age is None else replace(each, data_age=each.data_age + elapsed) for each in shown]

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        now = self._clock.monotonic()
        found = self._look()
        self._truths.update((each.name, self._judged(each, now)) for each in found)
        wall = self._clock.now() - now
        shown = (_as_shown(each, self._truths[each.name], now, wall) for each in found)
        self._seen = (now, [each for each in shown if not (each.branch and each.ready and each.healthy)])

    def _judged(self, found: Component, now: float) -> Truths:
        known = self._truths.get(found.name)
        if known is None:
            return Truths(Truth.begin(found.ready, now), Truth.begin(found.healthy, now))
        return known.looked(found, now, UNDERNEATH if found.name in self._foundation else ACTOR)


def _as_shown(found: Component, truths: Truths, now: float, wall: float) -> Component:
    """Its state is the present one; what is counted may be another for a while, and says so. `wall`: what makes unix
    seconds of monotonic ones."""
    reason = found.reason
    if found.ready and not truths.ready.shown:
        reason = f"back for {now - truths.ready.observed_since:.0f} s; counts as ready after {RISE:g} s"
    elif found.healthy and not truths.healthy.shown:
        reason = f"well for {now - truths.healthy.observed_since:.0f} s; counts as healthy after {RISE:g} s"
    return replace(
        found,
        ready=truths.ready.shown,
        ready_since=wall + truths.ready.since,
        healthy=truths.healthy.shown,
        healthy_since=wall + truths.healthy.since,
        reason=reason,
    )
