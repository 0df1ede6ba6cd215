"""The witness of a commit: what is read when the answer to its COMMIT was lost."""

from __future__ import annotations

import pytest

from fusion_daemon.store import Advance, Append, Commit, Execute
from fusion_daemon.store.commits import Place, check, witness

PROOF = Execute("SELECT true")


def append(stream: str, rows: int) -> Append:
    return Append(stream, 7, 10, "journal", ("a",), [(1,)] * rows)


def advance(stream: str, steps: int) -> Advance:
    return Advance("risk", stream, 7, 3, 3 + steps)


def key(commit: Commit) -> tuple[str, ...]:
    found = witness(commit)
    assert isinstance(found, Place)
    return found.key


def test_the_head_of_the_first_append_comes_first() -> None:
    commit = Commit(appends=(append("a", 2), append("b", 1)), advances=(advance("p", 1),), proof=PROOF)
    found = witness(commit)
    assert isinstance(found, Place)
    assert (found.key, found.epoch, found.before, found.after) == (("a",), 7, 10, 12)


def test_what_does_not_move_is_no_witness() -> None:
    assert key(Commit(appends=(append("a", 0), append("b", 1)))) == ("b",)
    assert key(Commit(appends=(append("a", 0),), advances=(advance("p", 0), advance("q", 1)))) == (
        "risk",
        "q",
    )


def test_the_proof_comes_last() -> None:
    assert witness(Commit(appends=(append("a", 0),), proof=PROOF)) is PROOF


def test_a_commit_that_nobody_could_resolve_is_refused() -> None:
    with pytest.raises(ValueError, match="or carries a proof"):
        check(Commit(writes=(Execute("DELETE FROM x"),)))


def test_a_place_is_fenced_once() -> None:
    with pytest.raises(ValueError, match="once"):
        check(Commit(appends=(append("a", 1), append("a", 1))))
    with pytest.raises(ValueError, match="once"):
        check(Commit(advances=(advance("p", 1), advance("p", 1))))
