"""A truth that does not flap: pure, on given times.

observed  ▔▔▔▁▔▔▔▔▁▁▁▁▁▁▁▁▔▁▔▔▔▔▔▔▔▔
shown     ▔▔▔▔▔▔▔▔▔▔▔▔▔▁▁▁▁▁▁▁▁▁▁▔▔▔     (a blip is not shown, and a recovery has to last)
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for which something must be bad before it is shown as bad, and good again before it is shown as good."""

    fall: float
    rise: float

    def __post_init__(self) -> None:
        if self.fall < 0 or self.rise < 0:
            raise ValueError(f"patience is 0 s or more, not {self}")


@dataclass(frozen=True, slots=True)
class Truth:
    """One truth as it is shown, and as it is observed.

    INVARIANT: `shown` follows what is observed only after that has been the same, at every look, for the patience of
    the change; so between two changes lies at least the patience of the second, but for the first rise.
    """

    shown: bool
    since: float
    """When `shown` became so; in the seconds that are handed in, as all times here."""
    observed: bool
    observed_since: float
    risen: bool
    """Whether it was ever shown as good: the first time is a start and no recovery, and is believed at once."""

    @staticmethod
    def begin(good: bool, now: float) -> Truth:
        """The first look is believed at once."""
        return Truth(good, now, good, now, good)

    def looked(self, good: bool, now: float, patience: Patience) -> Truth:
        """After one more look, not earlier than the last."""
        observed_since = self.observed_since if good is self.observed else now
        rise = patience.rise if self.risen else 0.0
        if good is self.shown or now - observed_since < (rise if good else patience.fall):
            return Truth(self.shown, self.since, good, observed_since, self.risen)
        return Truth(good, now, good, observed_since, self.risen or good)
