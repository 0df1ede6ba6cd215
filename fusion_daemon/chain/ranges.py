"""How many blocks to ask for at once, as far as one endpoint's answers and refusals teach it.

Answers: the size grows towards `density` logs per answer, at most doubling at a time. Refusals: a cap that the
provider names is kept; one that it only hints at is searched by halving the distance to what it refused, and tried
again after many answers; a refusal for the number of logs halves the density, which grows back by a little with every
answer.

INVARIANTS: after a refused range of n > 1 blocks the next one is smaller than n, whatever was suggested; a range never
holds more blocks than a cap that was named. A single block is not split: its logs are taken from its receipts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fusion_daemon.chain.range_rules import ExactRange, Refusal, StructuralCap

_FIRST_BLOCKS = 50
_ANSWERS_BEFORE_PROBE = 64
"""At the ceiling: a provider's plan is raised seldom, and every probe that fails costs a request."""
_CEILING_STEP = 8
"""A ceiling grows by this part of itself."""
_DENSITY_STEP = 16
"""Answers in which a density that was given up wholly comes back."""


@dataclass(frozen=True, slots=True)
class RangeSize:
    """What is remembered of one endpoint. `blocks` is what the next range holds at most; 1 <= blocks <= ceiling <=
    cap."""

    blocks: int
    cap: int
    """Of blocks, from the configuration or named by the provider."""
    ceiling: int
    """Of blocks: above it the provider refused, without naming its cap."""
    target: int
    """Logs per answer to aim at."""
    density: int
    """Logs per answer that the endpoint is believed to give, at most `target`."""
    full: int = 0
    """Answers in a row of as many blocks as the ceiling allows."""

    def last(self, first: int, until: int) -> int:
        """The last block of the range that begins at `first` and ends at `until` at most."""
        return min(first + self.blocks - 1, until)

    def after_answer(self, asked: int, logs: int) -> RangeSize:
        """`asked` blocks held `logs` logs. An answer above twice the density shrinks."""
        grown = self._probing(asked)
        density = min(self.target, self.density + max(1, self.target // _DENSITY_STEP))
        fitting = grown.ceiling if logs == 0 else max(1, asked * self.density // logs)
        if fitting < asked:
            return replace(grown, blocks=min(fitting, grown.ceiling), density=density)
        halfway = asked + max(1, (grown.ceiling - asked + 1) // 2)
        larger = min(fitting, asked * 2, halfway, grown.ceiling)
        return replace(grown, blocks=max(self.blocks, larger), density=density)

    def after_refusal(self, first: int, last: int, refusal: Refusal) -> RangeSize:
        """Blocks first..last (inclusive) were refused; more than one, since a single one cannot be split."""
        asked = last - first + 1
        assert asked > 1
        match refusal:
            case ExactRange(start, end) if start == first <= end < last:
                return replace(self, blocks=end - start + 1)
            case StructuralCap(named) if named >= 1:
                cap = min(self.cap, named)
                blocks = cap if cap < asked else asked // 2
                return replace(self, blocks=blocks, cap=cap, ceiling=min(self.ceiling, cap))
            case StructuralCap():
                return replace(self, blocks=asked // 2, ceiling=min(self.ceiling, asked - 1), full=0)
            case _:
                return self._thinner(asked)

    def after_silence(self, asked: int) -> RangeSize:
        """No answer came to a range of `asked` blocks: perhaps it was too large to be sent in time."""
        return self._thinner(asked) if asked > 1 else self

    def _thinner(self, asked: int) -> RangeSize:
        return replace(self, blocks=asked // 2, density=max(1, self.density // 2))

    def _probing(self, asked: int) -> RangeSize:
        if asked < self.ceiling or self.ceiling == self.cap:
            return self if self.full == 0 else replace(self, full=0)
        if self.full + 1 < _ANSWERS_BEFORE_PROBE:
            return replace(self, full=self.full + 1)
        return replace(self, ceiling=min(self.cap, self.ceiling + max(1, self.ceiling // _CEILING_STEP)), full=0)


def first_size(longest: int, target: int) -> RangeSize:
    """Nothing is known yet: begin small enough for every provider seen so far."""
    return RangeSize(min(_FIRST_BLOCKS, longest), longest, longest, target, target)
