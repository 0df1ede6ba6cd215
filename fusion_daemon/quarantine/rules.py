"""What was set aside, what an operator may do with it, and what a stream's consumer does about it. Pure.

The rule of streams: of a stream whose entries supersede each other (prices) the entry is passed over at once. Of any
other the stream is held: its consumer's cursor rests before the entry until the operator has it folded again, or
passed. Every other stream goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from fusion_daemon.domain.account import ACCOUNT_STREAM
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.price import PRICE_STREAM


class State(StrEnum):
    HELD = "held"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class Phase(StrEnum):
    """What a consumer did when an entry killed it."""

    FOLD = "fold"
    START = "start"
    """It took the entry back out of what the store holds, to stand at its cursor."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A place in a durable stream."""

    stream: str
    seq: int
    resting: int
    """The last entry that can be folded without it: none of a reorg is, when one is held."""
    phase: Phase


@dataclass(frozen=True, slots=True)
class SetAside:
    """As it is handed over."""

    mark: str
    """Of this one alone, so that it may be written twice."""
    source: str
    """The mailbox; of an entry its consumer."""
    entry: Entry | None
    message: str
    """The name of its type."""
    payload: bytes | None
    traceback: str
    at: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Kept:
    """As it lies in the quarantine."""

    id: int
    source: str
    entry: Entry | None
    payload: bytes | None
    state: State


@dataclass(frozen=True, slots=True)
class Orders:
    """What a consumer does about entries of its streams."""

    skipped: Mapping[str, frozenset[int]]
    """By stream: entries that are no part of its picture, before its cursor or after."""
    held: Mapping[str, Entry]
    """By stream: the entry before which it stops."""
    passed: Mapping[str, int]
    """By stream: the entry past which its cursor goes before it looks at the store."""

    def after(self, positions: Mapping[str, int]) -> Orders:
        """Without what the cursors have passed already: an entry before one that was discarded."""
        held = {stream: entry for stream, entry in self.held.items() if entry.seq > positions.get(stream, 0)}
        return replace(self, held=held)


class UnknownDeadLetter(Failure):
    """Nothing was set aside under that number."""


class AlreadySettled(Failure):
    """It was replayed or discarded before."""


class NotReplayable(Failure):
    """It cannot be handled once more."""


def superseding(stream: str) -> bool:
    """Whether an entry of it is worth nothing once the next one is there."""
    return stream == PRICE_STREAM


def label_of(source: str, stream: str | None) -> str:
    """Where it was to be handled, for an operator: the mailbox, or the stream."""
    return source if stream is None else stream


def check_replay(kept: Kept) -> None:
    """Raises AlreadySettled, NotReplayable."""
    _check_held(kept)
    if kept.entry is None and kept.payload is None:
        raise NotReplayable(
            f"Nothing is left of the message {kept.id} but its type.",
            "Its mailbox keeps no payloads, or this one could not be encoded; nothing was changed.",
            "Discard it, and have its sender send it again.",
        )
    if kept.entry is not None and superseding(kept.entry.stream):
        raise NotReplayable(
            f"{kept.entry.stream}#{kept.entry.seq} is not folded any more.",
            "Later prices have taken its place, and it would undo them; nothing was changed.",
            "Discard it when you have seen its traceback.",
        )


def check_discard(kept: Kept) -> None:
    """Raises AlreadySettled."""
    _check_held(kept)


def _check_held(kept: Kept) -> None:
    if kept.state is not State.HELD:
        raise AlreadySettled(
            f"The message {kept.id} was {kept.state.value} already.",
            "Nothing was changed.",
            f"GET /v1/deadletters/{kept.id} says by whom and when.",
        )


def unknown(number: str) -> UnknownDeadLetter:
    return UnknownDeadLetter(
        f"Nothing was set aside under the number {number[:24]!r}.",
        "Nothing was changed.",
        "GET /v1/deadletters and `fusion-daemon deadletters list` show what was.",
    )


def replay_means(kept: Kept) -> str:
    """What follows, for who told it."""
    if kept.entry is None:
        return f"It is in the mailbox {kept.source} again. If it kills its handler twice more, it comes back here."
    return (
        f"{kept.source} starts over from the store and folds {kept.entry.stream} on, from this entry. "
        "If it kills twice more, the stream is held again."
    )


def discard_means(kept: Kept) -> str:
    """What follows, above all for balances."""
    entry = kept.entry
    if entry is None:
        return "It is not handled. Nothing else changes."
    if superseding(entry.stream):
        return "Nothing else changes: it was passed over when it was set aside, and a later price takes its place."
    if entry.stream == ACCOUNT_STREAM:
        return (
            f"{kept.source} goes on after this change of the registry and never folds it: the account keeps the "
            "record that it had, and addresses that this change linked stay outside it in every margin, until the "
            "account's next change, which holds its whole record. The registry itself shows the change."
        )
    return (
        f"{kept.source} goes on after this entry, and after the reorg that it is part of. It takes its balances anew "
        "from the store, which has this entry's changes in them, so balances are right; but nobody is judged as of "
        "its block, nor of blocks before it that were not judged yet: a margin call that it caused and a later one "
        "lifted is never told, what still holds is told at the next price, block or interest."
    )


def orders_of(settled: Iterable[tuple[Entry, State]]) -> Orders:
    """From all that was ever set aside of one consumer's entries, and what became of it."""
    skipped: dict[str, set[int]] = {}
    held: dict[str, Entry] = {}
    passed: dict[str, int] = {}
    for entry, state in settled:
        if superseding(entry.stream):
            skipped.setdefault(entry.stream, set()).add(entry.seq)
        elif state is State.HELD:
            first = held.get(entry.stream)
            if first is None or _rank(entry) < _rank(first):
                held[entry.stream] = entry
        elif state is State.DISCARDED and entry.stream == ACCOUNT_STREAM:
            skipped.setdefault(entry.stream, set()).add(entry.seq)
        elif state is State.DISCARDED:
            passed[entry.stream] = max(entry.seq, passed.get(entry.stream, 0))
    return Orders({stream: frozenset(seqs) for stream, seqs in skipped.items()}, held, passed)


def _rank(entry: Entry) -> tuple[int, bool]:
    # What cannot be taken back out at a start decides how the start is made.
    return entry.resting, entry.phase is not Phase.START


def held_text(entry: Entry) -> str:
    """Why a stream is held, for the consumer's health."""
    where = f"{entry.stream} is held before entry {entry.resting + 1}"
    picture = (
        "what the store held at the last start is shown"
        if entry.phase is Phase.START
        else "what came after is not in the figures"
    )
    return (
        f"{where}: entry {entry.seq} killed this actor twice; {picture}. See `fusion-daemon deadletters list`, "
        "then replay it (after an upgrade) or discard it"
    )
