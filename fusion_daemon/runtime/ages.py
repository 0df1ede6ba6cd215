"""Since when the items of a stream have been announced, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

MOST = 1_024
"""Marks that are kept."""


class Ages:
    """Marks of (last item, since when): `since` is the announcement of the first item after the mark before.

    INVARIANTS: marks ascend, and there are at most MOST. An age is never told too short for an item that somebody has
    yet to take. It is exact while fewer than MOST announcements are ahead of the slowest; beyond, each mark covers more
    of them, and an age is too long by the time that one mark covers, some five-hundredth of the backlog's.
    """

    __slots__ = ("_in_last", "_marks", "_stride")

    def __init__(self) -> None:
        self._marks: tuple[list[int], list[float]] = ([], [])
        """(last item, since when). Replaced as a whole or appended to, so that another thread may read it."""
        self._stride = 1
        """Announcements to one mark."""
        self._in_last = 0
        """Announcements in the last mark."""

    def announced(self, last: int, at: float, passed: int) -> None:
        """Items up to `last` became known at `at` (monotonic seconds); everybody has taken those up to `passed`."""
        lasts, _ = self._marks
        if lasts and passed >= lasts[-1]:
            self._marks, self._stride = ([], []), 1
        elif lasts and self._in_last < self._stride:
            lasts[-1] = last
            self._in_last += 1
            return
        elif len(lasts) == MOST:
            self._make_room(passed)
        lasts, sinces = self._marks
        sinces.append(at)
        lasts.append(last)
        self._in_last = 1

    def since(self, number: int) -> float | None:
        """When the item was announced, or the earliest moment known for it or a later one. None: it was not. Any
        thread."""
        lasts, sinces = self._marks
        place = bisect_left(lasts, number)
        return sinces[place] if place < len(lasts) else None

    def _make_room(self, passed: int) -> None:
        lasts, sinces = self._marks
        gone = bisect_right(lasts, passed)
        lasts, sinces = lasts[gone:], sinces[gone:]
        if gone < MOST // 2:
            pairs = len(lasts) // 2 * 2
            lasts, sinces = [*lasts[1:pairs:2], *lasts[pairs:]], sinces[::2]
            self._stride *= 2
        self._marks = (lasts, sinces)
