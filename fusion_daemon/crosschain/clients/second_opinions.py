"""The explorers, asked on behalf of whoever reads a message. asyncio side, but for `statistics`.

They are asked when a message is read, and not by the tracker: an operator who looks at a stuck message is told what
the explorer says now, and what nobody looks at costs no request and holds no state.

INVARIANTS
* `ask` ends within the timeout of its settings and never raises for what an explorer does: that is an opinion, too.
* An explorer is asked about a message at most once in FRESH_SECONDS, however many read it and however it answered.
* At most MOST_KEPT answers are kept, and MOST_AT_ONCE requests are under way.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from fusion_daemon.crosschain.clients.axelarscan import ask_axelarscan
from fusion_daemon.crosschain.clients.ccip_api import ask_ccip_api
from fusion_daemon.crosschain.hints import (
    AxelarCall,
    Hint,
    HintUnavailable,
    Opinion,
    Outcome,
    Question,
    Source,
    source_of,
)
from fusion_daemon.crosschain.settings import ExplorerSettings
from fusion_daemon.runtime import Clock

FRESH_SECONDS = 15.0
"""As often as Axelar's own SDK asks at most."""
MOST_KEPT = 512
MOST_AT_ONCE = 16

_Asked = tuple[str, Question]
"""With the URL: after a reload another explorer may answer."""


class SecondOpinions:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[_Asked, tuple[float, Opinion]] = {}
        """With the monotonic second of the answer; the oldest first."""
        self._under_way: dict[_Asked, asyncio.Task[Opinion]] = {}
        self._counts: Counter[tuple[Source, Outcome]] = Counter()

    async def ask(self, settings: ExplorerSettings, questions: Sequence[Question]) -> Sequence[Opinion]:
        """Of each explorer that is configured, what it says now or said within the last FRESH_SECONDS."""
        asked = [(settings.urls[source_of(each)], each) for each in questions if source_of(each) in settings.urls]
        return await asyncio.gather(*(self._opinion(each, settings.timeout) for each in asked))

    def statistics(self) -> Mapping[tuple[Source, Outcome], int]:
        """Requests that ended, since the start. Any thread."""
        return self._counts.copy()

    async def _opinion(self, asked: _Asked, timeout: float) -> Opinion:
        at, opinion = self._kept.get(asked, (0.0, None))
        if opinion is not None and self._clock.monotonic() - at < FRESH_SECONDS:
            return opinion
        task = self._under_way.get(asked)
        if task is None:
            if len(self._under_way) >= MOST_AT_ONCE:
                return self._without(asked, f"Not asked: {MOST_AT_ONCE} requests are under way.")
            task = self._under_way[asked] = asyncio.create_task(self._request(asked, timeout))
        return await asyncio.shield(task)  # who leaves does not take the answer from the others

    async def _request(self, asked: _Asked, timeout: float) -> Opinion:
        try:
            opinion = self._told(asked, await _hint(asked, timeout))
        except HintUnavailable as failure:
            opinion = self._without(asked, failure.happened)
        finally:
            del self._under_way[asked]
        self._counts[opinion.source, opinion.outcome] += 1
        self._keep(asked, opinion)
        return opinion

    def _keep(self, asked: _Asked, opinion: Opinion) -> None:
        self._kept.pop(asked, None)
        self._kept[asked] = self._clock.monotonic(), opinion
        if len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]

    def _told(self, asked: _Asked, hint: Hint | None) -> Opinion:
        outcome = Outcome.UNKNOWN if hint is None else Outcome.ANSWERED
        return Opinion(source_of(asked[1]), outcome, self._clock.now(), hint)

    def _without(self, asked: _Asked, trouble: str) -> Opinion:
        return Opinion(source_of(asked[1]), Outcome.UNAVAILABLE, self._clock.now(), trouble=trouble)


async def _hint(asked: _Asked, timeout: float) -> Hint | None:
    url, question = asked
    if isinstance(question, AxelarCall):
        return await ask_axelarscan(url, question, timeout)
    return await ask_ccip_api(url, question, timeout)
