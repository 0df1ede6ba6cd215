"""The registry publishes what has committed, and nothing else, whatever becomes of a commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from fusion_daemon.accounts.audit import By
from fusion_daemon.accounts.decisions import AccountExists, ChainAddress, Known, NewAccount, Prepared
from fusion_daemon.accounts.registry import Prepare, Registry, RegistryTakenOver, Standing
from fusion_daemon.domain.account import ACCOUNT_STREAM, AccountChange, AccountRecord
from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.runtime import Bell, Subscription, Topic
from fusion_daemon.store import Fenced
from fusion_daemon.store.writes import Commit

BY = By("alice", "req-1")


class LostAnswer(Exception):
    pass


@dataclass
class FakeStore:
    """A stream with an epoch and a head, and switches for what becomes of the next commit."""

    epoch: int = 0
    names: list[str] = field(default_factory=list)
    lose_answer: bool = False
    """The commit happens and its answer never comes."""
    refuse: bool = False
    """The commit does not happen."""
    hang: bool = False
    """The commit happens, then the answer takes for ever."""
    running: int = 0

    async def claim(self) -> Standing:
        self.epoch += 1
        return Standing(self.epoch, len(self.names))

    async def prepare(
        self, accounts: Sequence[AccountId], addresses: Sequence[ChainAddress], prepare: Prepare
    ) -> Prepared:
        await trio.lowlevel.checkpoint()
        if taken := set(self.names) & set(accounts):
            raise AccountExists(f"{taken} exist.", "", "")
        return prepare(Known({}, {}))

    async def commit(self, commit: Commit) -> None:
        self.running += 1
        assert self.running == 1
        try:
            await trio.lowlevel.checkpoint()
            [append] = commit.appends
            if (append.epoch, append.head) != (self.epoch, len(self.names)):
                raise Fenced("Fenced.", "", "")
            if self.refuse:
                self.refuse = False
                raise LostAnswer
            self.names += [str(row[0]) for row in append.rows]
            if self.lose_answer:
                self.lose_answer = False
                raise LostAnswer
            if self.hang:
                self.hang = False
                await trio.sleep_forever()
        finally:
            self.running -= 1


def new(name: str) -> NewAccount:
    return NewAccount(AccountId(name), "customer", name)


@dataclass
class World:
    store: FakeStore
    topic: Topic[AccountChange]
    registry: Registry
    consumer: Subscription[AccountChange]
    filled: list[tuple[int, int]]

    async def heard(self) -> list[str]:
        heard: list[str] = []
        while self.consumer.ready:
            heard += [change.record.name for change in await self.consumer.take(100)]
        return heard


def world(store: FakeStore) -> World:
    topic = Topic[AccountChange](ACCOUNT_STREAM, 100)
    filled: list[tuple[int, int]] = []
    registry = Registry(store, topic)

    async def fill(after: int, limit: int) -> Sequence[AccountChange]:
        filled.append((after, limit))
        return [change(seq, store.names[seq - 1]) for seq in range(after + 1, after + limit + 1)]

    return World(store, topic, registry, topic.subscribe("risk", 0, fill, Bell()), filled)


def change(seq: int, name: str) -> AccountChange:
    return AccountChange(seq, AccountRecord(AccountId(name), "customer", name, (), ()))


async def test_what_committed_is_heard_in_order_without_asking_the_store() -> None:
    here = world(FakeStore())
    await here.registry.open()
    await here.registry.register(new("a"), BY)
    await here.registry.register_many([new("b"), new("c")], BY)
    assert await here.heard() == ["a", "b", "c"]
    assert here.topic.head == 3
    assert here.filled == []


async def test_opening_announces_what_an_earlier_life_committed() -> None:
    here = world(FakeStore(names=["old"]))
    await here.registry.open()
    assert await here.heard() == ["old"]
    assert here.filled == [(0, 1)]


async def test_a_refused_command_leaves_the_next_one_the_same_number() -> None:
    here = world(FakeStore())
    await here.registry.open()
    await here.registry.register(new("a"), BY)
    with pytest.raises(AccountExists):
        await here.registry.register(new("a"), BY)
    await here.registry.register(new("b"), BY)
    assert (await here.heard(), here.store.epoch) == (["a", "b"], 1)


@pytest.mark.parametrize("happened", [True, False])
async def test_after_a_lost_answer_the_stream_is_claimed_anew_and_nothing_is_missed(happened: bool) -> None:
    """a commits, its answer is lost; b commits. The consumer hears a exactly if it happened, before b."""
    here = world(FakeStore(lose_answer=happened, refuse=not happened))
    await here.registry.open()
    with pytest.raises(LostAnswer):
        await here.registry.register(new("a"), BY)
    assert await here.heard() == []
    await here.registry.register(new("b"), BY)
    assert await here.heard() == (["a", "b"] if happened else ["b"])
    assert here.store.epoch == 2


async def test_a_cancelled_command_is_found_again_by_the_next(autojump_clock: trio.testing.MockClock) -> None:
    here = world(FakeStore(hang=True))
    await here.registry.open()
    with trio.move_on_after(5):
        await here.registry.register(new("a"), BY)
    assert here.topic.head == 0
    await here.registry.register(new("b"), BY)
    assert await here.heard() == ["a", "b"]


async def test_a_registry_that_was_fenced_does_not_take_the_stream_back() -> None:
    here = world(FakeStore())
    await here.registry.open()
    here.store.epoch = 99  # another daemon claimed it
    with pytest.raises(Fenced):
        await here.registry.register(new("a"), BY)
    for _ in range(2):
        with pytest.raises(RegistryTakenOver):
            await here.registry.register(new("a"), BY)
    assert (here.store.names, here.store.epoch) == ([], 99)


async def test_commands_that_come_together_are_done_one_after_the_other() -> None:
    here = world(FakeStore())
    await here.registry.open()
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(here.registry.register, new(f"n{number}"), BY)
    assert sorted(await here.heard()) == sorted(f"n{number}" for number in range(20))
    assert here.store.epoch == 1
