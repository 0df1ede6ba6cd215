"""A random course of sends, faults, reorgs and kills, as its seed says."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import trio

from fusion_daemon.demo.bridge import DevBridge, Faults
from fusion_daemon.demo.node import NodeRefused
from fusion_daemon.domain.identifiers import Address, Hash32
from tests.faults.message_truth import TrueMessage, read_truth
from tests.integration.crosschain.pair import CREDIT, FINAL, WAYS, Pair
from tests.integration.crosschain.tracking import TRACKER, Tracking

STRANGER = Address(b"\x51" * 20)
DEEPEST = 8
"""Blocks of a reorg."""
_GRANT = 1


@dataclass(frozen=True)
class _Left:
    """A branch that was left."""

    ancestor: int
    mined: list[tuple[dict[str, str], int]]


class Course:
    def __init__(self, seed: int, tracked: Tracking, steps: int) -> None:
        self.said: list[str] = []
        """What was done, for whoever has to find out why it failed."""
        self._random = random.Random(seed)
        self._tracked = tracked
        self._pair: Pair = tracked.pair
        self._steps = steps
        self._faults = self._some_faults(seed)
        ends = (self._pair.links[0].bridge, self._pair.links[1].bridge)
        self._bridge = DevBridge(ends, self._faults, self._random.choice((0, 0, 1, 2)))

        self._left: dict[int, _Left] = {}

    async def run(self) -> None:
        """Leaves everything alive and quiet."""
        await self._tracked.start()
        deeds: list[tuple[int, Callable[[], None]]] = [
            (4, self._lock),
            (2, self._lock_twice),
            (2, self._release),
            (5, self._step),
            (3, self._reorg),
            (3, self._leave),
            (4, self._come_back),
            (2, self._mine),
            (1, self._pause),
            (1, self._retry),
            (2, self._resend),
            (1, self._change_faults),
        ]
        weights = [weight for weight, _ in deeds]
        for _ in range(self._steps):
            if self._chance(0.3):
                await self._life_and_death()
            [(_, deed)] = self._random.choices(deeds, weights)
            with suppress(NodeRefused):  # a lock without a grant, a bridge whose ground a reorg took away
                await trio.to_thread.run_sync(deed)
            if self._chance(0.4):  # so that more is seen than what became of it in the end
                await self._tracked.start()
                await self._tracked.quiet()
        await self._come_to_rest()

    async def _come_to_rest(self) -> None:
        if self._chance(0.6):
            self._say("heal")
            self._faults.drop = self._faults.starve = 0.0
            self._faults.wrong_source = None
            for _ in range(3):
                with suppress(NodeRefused):
                    await trio.to_thread.run_sync(self._step)
        for side in (0, 1):
            self._pair.mine(side, self._random.choice((1, 3, FINAL + 1)))
        await self._tracked.start()
        await self._tracked.quiet()

    async def _life_and_death(self) -> None:
        deaths: tuple[tuple[int, ...], ...] = ((0,), (1,), (TRACKER,), (TRACKER,), (0, 1), ())
        if self._chance(0.5):
            who = self._random.choice(deaths)
            self._say(f"kill {who or 'all'}")
            await self._tracked.kill(*who)
        else:
            await self._tracked.start()
        if self._chance(0.5):
            await self._tracked.start()

    # Deeds. Each runs in a thread: listeners and tracker go on meanwhile.

    def _lock(self) -> None:
        side, way = self._side(), self._way()
        self._say(f"lock on {side} by {way}")
        self._pair.lock(side, way, self._amount())

    def _lock_twice(self) -> None:
        side, way, amount = self._side(), self._way(), self._amount()
        self._say(f"two locks on {side} by {way}")
        self._pair.nodes[side].send(*(self._pair.lock_transaction(side, way, amount) for _ in range(2)))

    def _release(self) -> None:
        granted = [each for each in self._messages() if each.applied and each.envelope["kind"] == _GRANT]
        if granted:
            message = self._random.choice(granted)
            side = 1 if message.envelope["destination"] == self._pair.chain(1) else 0
            ref, way = message.envelope["ref"], self._way()
            assert isinstance(ref, bytes)
            self._say(f"release on {side} by {way}")
            self._pair.release(side, Hash32(ref), way, CREDIT // 2)

    def _step(self) -> None:
        self._say("bridge")
        self._bridge.step()

    def _mine(self) -> None:
        side, count = self._side(), self._random.choice((1, 2, 5, FINAL + 1))
        self._say(f"mine {count} on {side}")
        self._pair.mine(side, count)

    def _reorg(self) -> None:
        side = self._side()
        deepest = min(DEEPEST, self._pair.height(side) - self._pair.first_blocks[side])
        if deepest:
            depth = self._random.randint(1, deepest)
            again = self._again(side, depth)
            self._say(f"reorg of {depth} on {side}, {len(again)} transactions come back")
            self._pair.reorg(side, depth, *again)

    def _leave(self) -> None:
        """A reorg, after which the old branch may come back, block for block."""
        side = self._side()
        height = self._pair.height(side)
        depth = min(self._random.randint(1, DEEPEST), height - self._pair.first_blocks[side])
        if depth:
            self._say(f"reorg of {depth} on {side}, for a while")
            mined = self._pair.transactions(side, depth)
            self._left[side] = _Left(height - depth, mined)
            self._pair.reorg(side, depth)

    def _come_back(self) -> None:
        """The node makes the same blocks of the same transactions, as long as it gives them the same times."""
        side = self._side()
        left = self._left.get(side)
        if left is not None and (depth := self._pair.height(side) - left.ancestor) <= 2 * DEEPEST:
            self._say(f"the branch above {left.ancestor} of {side} comes back")
            self._pair.reorg(side, depth, *left.mined)

    def _again(self, side: int, depth: int) -> list[object]:
        """Some of the transactions that the reorg takes away, each in some block of the new branch."""
        return [
            (transaction, self._random.randrange(depth))
            for transaction, _ in self._pair.transactions(side, depth)
            if self._chance(0.5)
        ]

    def _pause(self) -> None:
        side, way, paused = self._side(), self._way(), self._chance(0.5)
        self._say(f"{'pause' if paused else 'unpause'} {way} on {side}")
        self._pair.pause(side, way, paused)

    def _retry(self) -> None:
        stored = [each for each in self._messages() if each.stored]
        if stored:
            message = self._random.choice(stored)
            side = 1 if message.envelope["destination"] == self._pair.chain(1) else 0
            self._say(f"retry on {side}: {self._pair.retry(side, message.payload)}")

    def _resend(self) -> None:
        """One that is still on its way, or one that is long there."""
        sent = [each for each in self._messages() if each.sent]
        if sent:
            message, way = self._random.choice(sent), self._way()
            side = 0 if message.envelope["destination"] == self._pair.chain(1) else 1
            self._say(f"resend on {side} by {way}")
            self._pair.resend(side, message.payload, way)

    def _change_faults(self) -> None:
        fresh = self._some_faults(self._random.randrange(2**32))
        for name in ("seed", "drop", "duplicate", "starve", "delay", "reorder", "wrong_source"):
            setattr(self._faults, name, getattr(fresh, name))

    def _some_faults(self, seed: int) -> Faults:
        found = Faults(
            seed,
            drop=self._random.choice((0.0, 0.0, 0.5)),
            duplicate=self._random.choice((0.0, 0.5)),
            starve=self._random.choice((0.0, 0.0, 0.5)),
            delay=self._random.choice((0, 0, 1)),
            reorder=self._chance(0.5),
            wrong_source=STRANGER if self._chance(0.1) else None,
        )
        self._say(str(found))
        return found

    def _messages(self) -> list[TrueMessage]:
        truth = read_truth(self._pair)
        return [truth.messages[message] for message in sorted(truth.messages)]

    def _side(self) -> int:
        return self._random.randrange(2)

    def _way(self) -> str:
        return self._random.choice(WAYS)

    def _amount(self) -> int:
        return CREDIT * self._random.randint(1, 2)

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _say(self, text: str) -> None:
        self.said.append(text)
