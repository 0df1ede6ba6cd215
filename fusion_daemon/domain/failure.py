"""The form of every error that an operator may meet."""

from __future__ import annotations

from dataclasses import dataclass


# Not frozen: the interpreter and contextlib assign __traceback__ on an exception in flight.
@dataclass(eq=False)
class Failure(Exception):
    """What happened, what it means, and what the operator does about it.

    Rooms subclass this with a name of their own; the text never holds a secret.
    """

    happened: str
    means: str
    remedy: str

    def __str__(self) -> str:
        gap = "" if self.happened.endswith("\n") else " "  # a list has ended its line itself
        return f"{self.happened}{gap}{self.means} {self.remedy}"
