"""What can be wrong with a tree, or with an order given to it."""

from __future__ import annotations

from fusion_daemon.runtime.health import ActorState, Finding
from fusion_daemon.runtime.life import StopReport, describe
from fusion_daemon.runtime.restart import Intensity


class SupervisionError(Exception):
    """Something about the tree, not about one actor's work."""


class UnknownActor(SupervisionError):
    """No child of that name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"No actor is named {name!r}. `fusion-daemon status` lists them.")


class ActorStuck(SupervisionError):
    """The child made no progress for longer than it may."""

    def __init__(self, found: Finding) -> None:
        super().__init__(f"{found.name} made no progress and was stopped: {found.reason}.")


class ActorBusy(SupervisionError):
    """The child is in a state in which it cannot take that order."""

    def __init__(self, name: str, state: ActorState) -> None:
        self.name = name
        self.state = state
        super().__init__(f"{name} is {state}; wait until it is running or stopped.")


class NameTaken(SupervisionError):
    """Somebody in the tree, running or stopped, bears that name already."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name!r} is the name of another member of the tree. Nothing was changed.")


class NotRunning(SupervisionError):
    """The supervisor that was to do it does not run, or came down meanwhile."""

    def __init__(self, supervisor: str) -> None:
        self.supervisor = supervisor
        super().__init__(f"The supervisor {supervisor} is not running, so it takes no children.")


class StartFailed(SupervisionError):
    """The first start of a child failed (its error is the `__cause__`).

    At boot those started before it were stopped, as `report` says; of a living supervisor nobody was.
    """

    def __init__(self, supervisor: str, child: str, error: BaseException) -> None:
        self.supervisor = supervisor
        self.child = child
        self.report = StopReport()
        super().__init__(f"{supervisor} could not start {child}: {describe(error)}")
        self.__cause__ = error


class RestartLimitExceeded(SupervisionError):
    """Restarting did not help: more than `intensity` allows. The last error is the `__cause__`."""

    def __init__(
        self, supervisor: str, child: str, intensity: Intensity, what: str, error: BaseException | None
    ) -> None:
        self.supervisor = supervisor
        self.child = child
        self.intensity = intensity
        self.report = StopReport()
        super().__init__(
            f"{supervisor} gives up on {child}: more than {intensity.limit} {what} "
            f"within {intensity.period:g} s. Its children were stopped; the cause is its last error."
        )
        self.__cause__ = error
