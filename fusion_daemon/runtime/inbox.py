"""What waits in a mailbox, in three lanes."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar

from fusion_daemon.runtime.letter import Letter
from fusion_daemon.runtime.policy import Priority

Message = TypeVar("Message")
Reply = TypeVar("Reply")


class Queue(Protocol[Message, Reply]):
    """Letters of one priority, oldest first. A `deque` is one."""

    def append(self, letter: Letter[Message, Reply], /) -> None: ...
    def appendleft(self, letter: Letter[Message, Reply], /) -> None: ...
    def popleft(self) -> Letter[Message, Reply]: ...
    def remove(self, letter: Letter[Message, Reply], /) -> None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Letter[Message, Reply]]: ...


class KeyedQueue(Generic[Message, Reply]):
    """INVARIANT: holds one letter of a key; nobody is told of one that another replaces, so ask `same` first."""

    def __init__(self, key: Callable[[Message], Hashable]) -> None:
        self._key = key
        self._letters: OrderedDict[Hashable, Letter[Message, Reply]] = OrderedDict()

    def same(self, letter: Letter[Message, Reply]) -> Letter[Message, Reply] | None:
        """The queued letter with the same key."""
        return self._letters.get(self._key(letter.message))

    def append(self, letter: Letter[Message, Reply], /) -> None:
        """At the end, or in the place of the one with the same key."""
        self._letters[self._key(letter.message)] = letter

    def appendleft(self, letter: Letter[Message, Reply], /) -> None:
        key = self._key(letter.message)
        self._letters[key] = letter
        self._letters.move_to_end(key, last=False)

    def popleft(self) -> Letter[Message, Reply]:
        return self._letters.popitem(last=False)[1]

    def remove(self, letter: Letter[Message, Reply], /) -> None:
        del self._letters[self._key(letter.message)]

    def __len__(self) -> int:
        return len(self._letters)

    def __iter__(self) -> Iterator[Letter[Message, Reply]]:
        return iter(self._letters.values())


class Inbox(Generic[Message, Reply]):
    """INVARIANT: a letter is `queued` exactly while it is in a lane.

    `key` conflates the work: its lane holds one letter of a key.
    """

    def __init__(self, key: Callable[[Message], Hashable] | None) -> None:
        self._keyed = KeyedQueue[Message, Reply](key) if key is not None else None
        self.control: Queue[Message, Reply] = deque()
        self.supervision: Queue[Message, Reply] = deque()
        self.work: Queue[Message, Reply] = deque() if self._keyed is None else self._keyed
        self._lanes = (self.control, self.supervision, self.work)

    @property
    def keyed(self) -> bool:
        return self._keyed is not None

    def lane(self, priority: Priority) -> Queue[Message, Reply]:
        return self._lanes[priority]

    def put_back(self, letter: Letter[Message, Reply]) -> None:
        """At the front of its lane."""
        self._lanes[letter.priority].appendleft(letter)
        letter.queued = True

    def remove(self, letter: Letter[Message, Reply]) -> None:
        self._lanes[letter.priority].remove(letter)
        letter.queued = False

    def same(self, letter: Letter[Message, Reply]) -> Letter[Message, Reply] | None:
        """The queued work with the same key, where work is conflated."""
        return self._keyed.same(letter) if self._keyed is not None and letter.priority is Priority.USER else None

    def letters(self) -> list[Letter[Message, Reply]]:
        return [letter for lane in self._lanes for letter in lane]

    def depths(self) -> tuple[int, int, int]:
        """Of control, supervision and work. Any thread."""
        return len(self.control), len(self.supervision), len(self.work)

    def __len__(self) -> int:
        return sum(map(len, self._lanes))
