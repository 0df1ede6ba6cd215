"""How messages stand, in numbers for the metrics: kept up with each change, so that a scrape costs nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from fusion_daemon.crosschain import Flag, MessageId, Standing, State, Transition, Unit, in_flight

Lane = tuple[int, int]
"""Source and destination as the envelope says them; 0 where no log showed an envelope of ours, or a forger's alone did,
who names any chains he likes."""


@dataclass(frozen=True, slots=True)
class CensusFigures:
    lanes: Mapping[tuple[int, int, str], int]
    """Messages by (source, destination, state)."""
    stuck: Mapping[tuple[int, int, str], int]
    """Messages that are stuck, by (source, destination, stage)."""
    credit: Mapping[Lane, int]
    """What is on its way, USD x 1e8."""
    waiting_since: Mapping[Lane, int]
    """Unix second of the evidence by which the one that waits longest stands where it does."""
    flagged: Mapping[str, int]
    """How often a message got a flag, in this life."""


class MessageCensus:
    def __init__(self) -> None:
        self._lanes: Counter[tuple[int, int, str]] = Counter()
        self._stuck: Counter[tuple[int, int, str]] = Counter()
        self._credit: Counter[Lane] = Counter()
        self._flagged: Counter[str] = Counter({flag.value: 0 for flag in Flag})
        self._counted: dict[MessageId, Standing] = {}
        """As it was counted: it may have been judged anew since, without a change that is told."""
        self._waiting: dict[MessageId, tuple[Lane, int]] = {}

    def figures(self) -> CensusFigures:
        """Any thread."""
        waiting: dict[Lane, int] = {}
        for lane, since in tuple(self._waiting.values()):
            waiting[lane] = min(since, waiting.get(lane, since))
        return CensusFigures(dict(self._lanes), dict(self._stuck), dict(self._credit), waiting, dict(self._flagged))

    def count(self, standing: Standing) -> None:
        """One that is not counted: new, or from before this life."""
        self._counted[standing.id] = standing
        self._add(standing, 1)

    def changed(self, transition: Transition) -> None:
        before, after = self._counted.pop(transition.id, None), transition.after
        if before is not None:
            self._add(before, -1)
        if after is not None:
            self.count(after)
            had = () if before is None else before.flags
            self._flagged.update(flag.value for flag in after.flags if flag not in had)

    def _add(self, standing: Standing, step: int) -> None:
        envelope = standing.envelope
        forged = standing.progress is None and standing.state is not State.REORGED_OUT
        lane = (0, 0) if envelope is None or forged else (envelope.source, envelope.destination)
        self._lanes[(*lane, standing.state.value)] += step
        if standing.state is State.STUCK and standing.stage is not None:
            self._stuck[(*lane, standing.stage.value)] += step
        for way, amount in in_flight((standing,)).items():
            if way.unit is Unit.CREDIT:
                self._credit[lane] += step * amount
        self._waiting.pop(standing.id, None)
        if step > 0 and standing.stage is not None and standing.because:
            self._waiting[standing.id] = (lane, max(place.timestamp for place in standing.because))
