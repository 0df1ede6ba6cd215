"""Quarantine keeper: writes down what was set aside, and says that it is there.

INVARIANTS
* Who dies of a message never waits: it leaves the message in the ward, in memory, and the keeper writes it later, in
  this life or the next one. What is in the ward is held for its consumer, written or not.
* A process that ends before the write forgets the message. One of a mailbox is lost, as is whatever else was in it;
  an entry of a stream is not, and kills its consumer twice again before it is set aside again.
"""

from __future__ import annotations

import secrets
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

from fusion_daemon.quarantine.repository import held_counts, keep
from fusion_daemon.quarantine.rules import Entry, Phase, SetAside, State
from fusion_daemon.runtime import Actor, ActorContext, Bell, Clock, Condemned, Poison, Strikes
from fusion_daemon.store import Store, StoreUnavailable

NAME = "quarantine_keeper"

ROOM = 64
"""Messages in the ward. More than that died in the time in which nothing could be written: the rest is lost."""
IDLE = 5.0
"""Seconds between two looks."""
STORE_PAUSE = 1.0
STORE_DEADLINE = 10.0
FAREWELL = 2.0
"""Seconds that a stopping keeper takes to write what is left."""


class Ward:
    """Between those who die of a message, the keeper, and the consumers who heed what became of it. Trio side, except
    `lost` and `unwritten`: any thread. It outlives every actor's life; built once a process.

    runtime's Quarantine, and where `strikes` put what they condemn.
    """

    def __init__(self, clock: Clock) -> None:
        self.strikes = Strikes(clock, self._condemn)
        self.bell = Bell()
        """Rings when there is something to write, and when something was settled."""
        self.lost = 0
        """For want of room."""
        self._unwritten: deque[SetAside] = deque()
        self._revisions: Counter[str] = Counter()
        self._premature: set[str] = set()
        """Of whom something was settled while something was unwritten."""
        self._followers: dict[str, Bell] = {}

    def set_aside(self, poison: Poison, /) -> None:
        self._take(poison.mailbox, None, poison.message, poison.payload, poison.traceback, poison.at)

    def _condemn(self, condemned: Condemned) -> None:
        suspect = condemned.suspect
        entry = Entry(suspect.stream, suspect.seq, suspect.resting, Phase(suspect.phase))
        self._take(suspect.consumer, entry, suspect.message, None, condemned.traceback, condemned.at)

    def _take(
        self, source: str, entry: Entry | None, message: str, payload: bytes | None, traceback: str, at: float
    ) -> None:
        if len(self._unwritten) >= ROOM:
            self.lost += 1
            return
        self._unwritten.append(
            SetAside(secrets.token_hex(16), source, entry, message, payload, _storable(traceback), at)
        )
        self.bell.ring()

    # For the keeper

    @property
    def unwritten(self) -> Sequence[SetAside]:
        return tuple(self._unwritten)

    def written(self, found: Sequence[SetAside]) -> None:
        """These are in the store. A keeper that would not stop may say so when the next one has said it."""
        done = {each.mark for each in found}
        self._unwritten = deque(each for each in self._unwritten if each.mark not in done)
        for source in self._premature - {each.source for each in self._unwritten}:
            self._premature.remove(source)
            self.settled(source)

    # For consumers

    def entries_of(self, consumer: str) -> list[tuple[Entry, State]]:
        """What is held of its entries and not written yet. Ask before you ask the store: then nothing that is written
        in between is missed."""
        return [(each.entry, State.HELD) for each in self._unwritten if each.source == consumer and each.entry]

    def follow(self, consumer: str, bell: Bell) -> int:
        """`bell` rings from now on when one of its entries was settled, and the revision is another one."""
        self._followers[consumer] = bell
        return self._revisions[consumer]

    def revision(self, consumer: str) -> int:
        return self._revisions[consumer]

    def settled(self, source: str) -> None:
        """An operator has decided, and the store holds it, or may hold it: whoever hears it looks.

        What he decided on may be written and be here still, as long as the keeper has no answer: then its consumer
        looks and hears that it is held. So it hears of it again when that is over.
        """
        if any(each.source == source for each in self._unwritten):
            self._premature.add(source)
        self._revisions[source] += 1
        self.bell.ring()
        if source in self._followers:
            self._followers[source].ring()


@dataclass(frozen=True, slots=True)
class KeeperStatistics:
    held: Mapping[str, int]
    """By mailbox or stream, at the last look."""


class QuarantineKeeper(Actor):
    """Needs no epoch: every message has a mark of its own, and is written once however often it is tried."""

    name = NAME

    def __init__(self, ward: Ward, store: Store) -> None:
        self._ward = ward
        self._store = store
        self._held: Mapping[str, int] = {}

    def statistics(self) -> KeeperStatistics:
        return KeeperStatistics(self._held)

    async def run(self, context: ActorContext) -> None:
        """Trio side. Asked to drain, or cancelled, it writes what is left."""
        context.started()
        try:
            while not context.draining.is_set():
                await context.gate()
                try:
                    await self._write(context)
                    self._held = await self._store.read(held_counts, timeout=STORE_DEADLINE)
                except StoreUnavailable as failure:
                    context.degraded(str(failure))
                    await context.rest(STORE_PAUSE)
                    continue
                context.fresh(context.clock.now())
                self._tell(context)
                await context.rest(IDLE, self._ward.bell)
        finally:
            await self._farewell(context)

    async def _write(self, context: ActorContext) -> None:
        found = self._ward.unwritten
        if not found:
            return
        await self._store.transact(keep, found, timeout=STORE_DEADLINE)
        self._ward.written(found)
        for each in found:
            place = {} if each.entry is None else {"stream": each.entry.stream, "seq": each.entry.seq}
            context.log.error("set_aside", source=each.source, message=each.message, **place)

    def _tell(self, context: ActorContext) -> None:
        if not self._held:
            context.healthy()
            return
        where = ", ".join(f"{label}: {count}" for label, count in sorted(self._held.items()))
        context.degraded(
            f"messages that killed their handler twice are set aside ({where}): see `fusion-daemon deadletters list`, "
            "then replay or discard them"
        )

    async def _farewell(self, context: ActorContext) -> None:
        with trio.move_on_after(FAREWELL, shield=True):
            try:
                await self._write(context)
            except StoreUnavailable as failure:
                context.log.warning("set_aside_unwritten", count=len(self._ward.unwritten), reason=str(failure))


def _storable(text: str) -> str:
    """What Postgres takes as text: an error may quote anything."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
