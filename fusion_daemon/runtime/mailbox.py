"""Bounded mailboxes for requests. Durable facts travel on topics instead.

A mailbox outlives the lives of the actor that serves it. What was told and not handled waits there for the next
life; what was asked fails at once when nobody is there to answer.

INVARIANTS
* An ask never hangs: it ends with the reply or an error, at the latest at its deadline, and at once when its server
  dies.
* Every message is accounted for, at any moment: what was sent is accepted, refused or waiting, and
  accepted = handled + dropped + dead + queued + in_hand.
* Whatever nobody handled, and every reply that nobody heard, is a dead letter with a reason:
  refused + dropped + dead + late_replies of them.
* Control is handled before supervision, and that before the work, however much of it waits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, NoReturn, TypeVar

import trio

from fusion_daemon.runtime.codec import Codec
from fusion_daemon.runtime.dead_letters import DeadLetters, Reason
from fusion_daemon.runtime.desk import Desk, Handler
from fusion_daemon.runtime.inbox import Inbox, Queue
from fusion_daemon.runtime.ledger import Ledger, MailboxStatistics
from fusion_daemon.runtime.letter import (
    Asker,
    AskTimeout,
    DeliveryFailed,
    Deposed,
    Door,
    Letter,
    MailboxClosed,
    MailboxFull,
    MessageDropped,
    TargetDied,
    Undecodable,
    guilty,
)
from fusion_daemon.runtime.policy import Block, Conflate, Overflow, Policy, Priority
from fusion_daemon.runtime.topic import Bell

Message = TypeVar("Message")
Reply = TypeVar("Reply")

URGENT_CAPACITY = 64
"""Room in each of the lanes of control and supervision; more is refused, whatever the policy."""
FAIR_MESSAGES = 32
"""Messages that a server handles before others have their turn. A turn costs as much as several messages, so one
after each would cost most of the throughput; 32 take a fraction of a millisecond."""
FAIR_TELLS = 128
"""Messages that are told before others have their turn; these cost the sender even less."""
FAIR_SECONDS = 0.002
"""A server whose messages take longer gives way when this has passed."""
LOOKS = 4
"""The clock is looked at after every 4th message: it costs a tenth of one."""
DEATHS = 2
"""Handlers that a message may kill."""

_USER = Priority.USER


class Mailbox(Generic[Message, Reply]):
    """Room for `capacity` messages of the work, and URGENT_CAPACITY of each urgent kind. Trio side throughout, except
    `statistics`: any thread.

    Without a `codec` nothing is kept of a message that killed its handler twice but its type.
    """

    def __init__(
        self,
        name: str,
        capacity: int,
        policy: Policy[Message],
        dead_letters: DeadLetters,
        codec: Codec[Message] | None = None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"mailbox {name!r} needs room for a message, not {capacity}")
        self.name = name
        self._capacity = capacity
        self._policy = policy
        self._ledger = Ledger(name, dead_letters)
        self._codec = codec
        self._inbox = Inbox[Message, Reply](policy.key if isinstance(policy, Conflate) else None)
        self._work = self._inbox.work
        self._waiting: OrderedDict[Letter[Message, Reply], Door] = OrderedDict()
        self._desk: Desk[Message, Reply] | None = None
        self._server = ""
        self._closed = False
        self._until_turn = FAIR_TELLS
        self._plain_below = 0
        """Work is simply queued behind other work while there is less of it than this."""
        self._set_plain()

    async def tell(self, message: Message, priority: Priority = Priority.USER) -> None:
        """Leave a message for whoever serves, now or in the next life. Returns when it was accepted.

        Trio side. A checkpoint at every FAIR_TELLS-th tell and when it waits for room, not at each; cancelled there,
        it is not sent, unless room was made in that very moment. Raises `MailboxFull` as the policy says, and
        `MailboxClosed`.
        """
        # Written out, as `drain` is: a call costs as much as half of this.
        self._until_turn -= 1
        if not self._until_turn:
            self._until_turn = FAIR_TELLS
            await trio.lowlevel.checkpoint()
        letter: Letter[Message, Reply] = Letter(message, priority)
        size = len(self._work)
        if priority is _USER and 0 < size < self._plain_below:
            self._work.append(letter)
            letter.queued = True
            self._ledger.accepted += 1
            if size >= self._ledger.peak:
                self._ledger.peak = size + 1
        else:
            await self._offer(letter)

    async def ask(self, message: Message, timeout: float, priority: Priority = Priority.USER) -> Reply:
        """The server's reply.

        Trio side; a checkpoint. Raises `AskTimeout` after `timeout` seconds, `TargetDied`, `MessageDropped`,
        `MailboxFull` and `MailboxClosed`. Cancelled or late, it is withdrawn if nobody has taken it yet.
        """
        await trio.lowlevel.checkpoint()
        asker: Asker[Reply] = Asker()
        letter: Letter[Message, Reply] = Letter(message, priority, asker)
        try:
            with trio.move_on_after(timeout):
                await self._offer(letter)
                await asker.settled.wait()
            if asker.settled.is_set():  # perhaps in the very moment of the deadline
                return asker.outcome()
        finally:
            self._withdraw(letter, asker)
        raise AskTimeout(self.name, f"no reply within {timeout:g} s")

    async def replay(self, payload: bytes) -> None:
        """Tell once more what was set aside. As `tell`; raises `Undecodable` too."""
        if self._codec is None:
            raise Undecodable(self.name, "it keeps no payloads")
        try:
            message = self._codec.decode(payload)
        except ValueError as error:
            raise Undecodable(self.name, f"the payload is none of its messages ({error})") from error
        await self.tell(message)

    @contextmanager
    def attended(self, bell: Bell) -> Iterator[Desk[Message, Reply]]:
        """Be the server while the context lasts; `bell` rings when a message arrives, and at once if one is there.

        Leaving it, however it happens, fails every ask that is not answered. An earlier life that still serves, a
        zombie, is deposed: what it has in hand counts as having killed it.
        """
        if self._desk is not None:
            self._put_down(self._desk, Deposed(self.name))
        self._desk = desk = Desk(self, bell)
        self._server = desk.trace.name
        if len(self._inbox):
            bell.ring()
        try:
            yield desk
        finally:
            if self._desk is desk:
                self._desk = None
                self._fail_asks()

    async def serve(self, handler: Handler[Message, Reply]) -> NoReturn:
        """Be the server, for an actor that has no other input. Trio side; ends by cancellation, by what the handler
        raises, or by `Deposed`. Others have a turn at least every FAIR_MESSAGES messages."""
        bell = Bell()
        with self.attended(bell) as desk:
            while True:
                await bell.wait()
                await desk.drain(handler)

    def close(self) -> None:
        """Nobody will serve it any more: what is queued is dead, senders that wait are refused. Idempotent."""
        self._closed = True
        self._set_plain()
        closed = MailboxClosed(self.name, "it was closed before this was handled")
        for letter in self._inbox.letters():
            self._bury(letter, Reason.CLOSED, closed)
        for letter in tuple(self._waiting):
            self._turn_away(letter, Reason.CLOSED, closed)

    def statistics(self) -> MailboxStatistics:
        desk = self._desk
        return MailboxStatistics(
            name=self.name,
            policy=str(self._policy),
            capacity=self._capacity,
            serving=desk is not None,
            server=self._server,
            closed=self._closed,
            refused=self._ledger.refused,
            accepted=self._ledger.accepted,
            handled=self._ledger.handled,
            dropped=self._ledger.dropped,
            dead=self._ledger.dead,
            late_replies=self._ledger.late_replies,
            redelivered=self._ledger.redelivered,
            peak_queued=self._ledger.peak,
            waiting=len(self._waiting),
            queued=len(self._inbox),
            lanes=self._inbox.depths(),
            in_hand=int(desk is not None and desk.in_hand is not None),
        )

    async def drain(self, desk: Desk[Message, Reply], handler: Handler[Message, Reply]) -> None:
        """For a desk."""
        self._require(desk)
        if desk.trace.on:
            handler = desk.trace.timing(self.name, handler)
        control, supervision, work = self._inbox.control, self._inbox.supervision, self._work
        until = trio.current_time() + FAIR_SECONDS
        try:
            for turn in range(1, FAIR_MESSAGES + 1):
                if control:
                    letter = control.popleft()
                elif supervision:
                    letter = supervision.popleft()
                elif work:
                    letter = work.popleft()
                else:
                    return
                letter.queued = False
                desk.in_hand = letter
                if self._waiting:
                    self._let_in_at_half()
                reply = await handler(letter.message)
                if letter.asker is not None and not letter.asker.answer(reply):
                    self._ledger.late_reply(letter.message)
                if desk.in_hand is not letter:
                    break  # deposed meanwhile
                desk.in_hand = None
                self._ledger.handled += 1
                if not turn % LOOKS and trio.current_time() >= until:
                    break
        except BaseException as error:
            self._put_down(desk, error)
            raise
        finally:
            if len(self._inbox):
                desk.bell.ring()
        self._require(desk)

    def _require(self, desk: Desk[Message, Reply]) -> None:
        if self._desk is not desk:
            raise Deposed(self.name)

    # Accepting

    async def _offer(self, letter: Letter[Message, Reply]) -> None:
        older = self._inbox.same(letter)
        if self._closed:
            self._refuse(letter, Reason.CLOSED, MailboxClosed(self.name, "it is closed"))
        if letter.asker is not None and self._desk is None:
            self._refuse(letter, Reason.NO_SERVER, TargetDied(self.name, "nobody serves it now"))
        lane = self._inbox.lane(letter.priority)
        if letter.priority is not _USER:
            if len(lane) >= URGENT_CAPACITY:
                self._refuse(letter, Reason.FULL, self._full(URGENT_CAPACITY))
        elif older is not None:
            self._put(letter, lane)
            older.queued = False
            self._drop(older, Reason.SUPERSEDED)
            return
        elif (len(lane) >= self._capacity or self._waiting) and not await self._overflow(letter):
            return
        self._put(letter, lane)

    async def _overflow(self, letter: Letter[Message, Reply]) -> bool:
        """The work is full. Whether room was made for the letter; if not, it has been dealt with."""
        if isinstance(self._policy, Block):
            await self._wait_for_room(letter, self._policy.seconds)
            return False
        if self._policy is Overflow.DROP_NEWEST:
            self._ledger.accepted += 1
            self._drop(letter, Reason.DROPPED)
            return False
        if self._policy is not Overflow.DROP_OLDEST:
            self._refuse(letter, Reason.FULL, self._full(self._capacity))
        while len(self._work) >= self._capacity:
            oldest = self._work.popleft()
            oldest.queued = False
            self._drop(oldest, Reason.DROPPED)
        return True

    async def _wait_for_room(self, letter: Letter[Message, Reply], seconds: float) -> None:
        self._waiting[letter] = door = Door()
        self._set_plain()
        reason = Reason.EXPIRED
        try:
            with trio.move_on_after(seconds) as patience:
                await door.opened.wait()
            if patience.cancelled_caught and letter in self._waiting:
                reason = Reason.FULL
                raise self._full(self._capacity)
        finally:
            self._turn_away(letter, reason, None)
        if door.error is not None:
            raise door.error

    def _full(self, capacity: int) -> MailboxFull:
        return MailboxFull(self.name, f"it holds {capacity} message(s), its limit")

    def _put(self, letter: Letter[Message, Reply], lane: Queue[Message, Reply]) -> None:
        # While something is queued the bell has been rung, or `drain` is at it and rings if it leaves any.
        if not lane and self._desk is not None:
            self._desk.bell.ring()
        lane.append(letter)
        letter.queued = True
        self._ledger.accepted += 1
        self._ledger.peak = max(self._ledger.peak, len(lane))

    def _let_in(self) -> None:
        while self._waiting and len(self._work) < self._capacity:
            letter, door = self._waiting.popitem(last=False)
            self._put(letter, self._work)
            door.opened.set()
        self._set_plain()

    def _let_in_at_half(self) -> None:
        if len(self._work) <= self._capacity // 2:
            self._let_in()

    def _set_plain(self) -> None:
        # Nobody overtakes a sender that waits, and conflation looks at every message.
        plain = not self._inbox.keyed and not self._closed and not self._waiting
        self._plain_below = self._capacity if plain else 0

    # Serving

    def _put_down(self, desk: Desk[Message, Reply], error: BaseException) -> None:
        """What is in hand will not be handled by this desk."""
        letter, desk.in_hand = desk.in_hand, None
        if letter is None:
            return
        if letter.asker is not None:
            self._die(letter, Reason.TARGET_DIED, TargetDied(self.name, "its server failed before it replied"))
            return
        letter.deaths += guilty(error)
        if letter.deaths >= DEATHS:
            payload = None if self._codec is None else self._codec.kept(letter.message)
            self._ledger.set_aside(letter.message, payload, error)
        elif self._closed:
            self._die(letter, Reason.CLOSED, None)
        else:
            self._put_back(letter)

    def _put_back(self, letter: Letter[Message, Reply]) -> None:
        # It had its room before it was taken: for a moment the lane may hold one more than its capacity.
        if self._inbox.same(letter) is not None:
            self._drop(letter, Reason.SUPERSEDED)
            return
        self._inbox.put_back(letter)
        self._ledger.redelivered += 1

    # Ending otherwise

    def _refuse(self, letter: Letter[Message, Reply], reason: Reason, error: DeliveryFailed) -> NoReturn:
        self._ledger.refuse(letter.message, reason)
        raise error

    def _turn_away(self, letter: Letter[Message, Reply], reason: Reason, error: DeliveryFailed | None) -> None:
        """A sender that waits for room does not wait any more."""
        door = self._waiting.pop(letter, None)
        if door is not None:
            door.error = error
            door.opened.set()
            self._ledger.refuse(letter.message, reason)
            self._set_plain()

    def _drop(self, letter: Letter[Message, Reply], reason: Reason) -> None:
        self._ledger.drop(letter.message, reason)
        if letter.asker is not None:
            letter.asker.fail(MessageDropped(self.name, f"{reason.value} by its policy, {self._policy}"))

    def _bury(self, letter: Letter[Message, Reply], reason: Reason, error: DeliveryFailed | None) -> None:
        """A queued letter will not be handled."""
        self._inbox.remove(letter)
        self._die(letter, reason, error)

    def _die(self, letter: Letter[Message, Reply], reason: Reason, error: DeliveryFailed | None) -> None:
        self._ledger.die(letter.message, reason)
        if letter.asker is not None and error is not None:
            letter.asker.fail(error)

    def _withdraw(self, letter: Letter[Message, Reply], asker: Asker[Reply]) -> None:
        if asker.leave():
            self._ledger.late_reply(letter.message)
        if letter.queued:
            self._bury(letter, Reason.EXPIRED, None)
            self._let_in()

    def _fail_asks(self) -> None:
        died = TargetDied(self.name, "its server ended before it replied")
        for letter in self._inbox.letters():
            if letter.asker is not None:
                self._bury(letter, Reason.TARGET_DIED, died)
        for letter in tuple(self._waiting):
            if letter.asker is not None:
                self._turn_away(letter, Reason.TARGET_DIED, died)
        self._let_in()
