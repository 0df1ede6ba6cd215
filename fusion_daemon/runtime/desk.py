"""Where a mailbox is served from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import trio

from fusion_daemon.runtime.letter import Letter
from fusion_daemon.runtime.topic import Bell
from fusion_daemon.runtime.trace import present_trace

if TYPE_CHECKING:
    from fusion_daemon.runtime.mailbox import Mailbox

Message = TypeVar("Message")
Reply = TypeVar("Reply")
Handler = Callable[[Message], Awaitable[Reply]]


class Desk(Generic[Message, Reply]):
    """One life's right to serve a mailbox. Made by `Mailbox.attended`."""

    def __init__(self, box: Mailbox[Message, Reply], bell: Bell) -> None:
        self.bell = bell
        self.in_hand: Letter[Message, Reply] | None = None
        """For the mailbox."""
        self.trace = present_trace()
        self._box = box

    async def drain(self, handler: Handler[Message, Reply]) -> None:
        """Handle what is queued, as much as is fair; if something is left, the bell has been rung.

        What `handler` returns is the reply to an ask. Trio side; itself no checkpoint: the next wait for the bell is.
        When the handler raises, or is cancelled, its asker's ask fails at once, and a told message goes back to the
        front of its lane, to be handled once more; one that makes a second handler raise is set aside. Raises what
        the handler raises, and `Deposed`.
        """
        await self._box.drain(self, handler)

    async def finish(self, handler: Handler[Message, Reply]) -> None:
        """Handle what is queued until nothing is: for a server that has been asked to finish, whose drain budget bounds
        it. Trio side; a checkpoint, and others have their turns. Otherwise as `drain`."""
        await trio.lowlevel.checkpoint()
        while self._box.statistics().queued:
            await self._box.drain(self, handler)
            await trio.lowlevel.checkpoint()
