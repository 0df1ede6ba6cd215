"""Why a crossing failed. Errors of the callee itself arrive as they are."""

from __future__ import annotations


class AioError(Exception):
    """The crossing itself failed; errors of the callee arrive as they are."""


class AioTimeout(AioError):
    """The callee was cancelled at its deadline, and has ended."""

    def __init__(self, callee: str, seconds: float) -> None:
        self.callee = callee
        self.seconds = seconds
        super().__init__(f"{callee} did not finish within {seconds:g} s and was cancelled.")


class AioDead(AioError):
    """The other side's loop has ended; whether the callee had an effect is unknown."""

    def __init__(self, callee: str, cause: str) -> None:
        self.callee = callee
        super().__init__(f"{callee} cannot be called or lost its answer: {cause}.")


class CalleeCancelled(AioError):
    """The callee was cancelled by somebody on its own side, not by this caller."""

    def __init__(self, callee: str) -> None:
        self.callee = callee
        super().__init__(f"{callee} was cancelled on its own side.")


class CalleeExited(AioError):
    """A trio callee of the portal raised KeyboardInterrupt or SystemExit (its `__cause__`)."""

    def __init__(self, callee: str) -> None:
        self.callee = callee
        super().__init__(f"{callee} tried to end the program.")
