"""Rule: an endpoint that denies a final block is believed only when no other one keeps that block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.chain.finality import keeps_root
from fusion_daemon.domain.identifiers import Hash32

OURS, OTHER = Hash32(b"\x01" * 32), Hash32(b"\x02" * 32)


@pytest.mark.parametrize(
    ("shown", "accuser", "configured", "kept"),
    [
        ({0: OTHER}, 0, 1, False),  # the only one denies it
        ({0: OURS}, 0, 1, True),  # and takes it back
        ({}, 0, 1, False),  # nobody answers
        ({0: OTHER, 1: OURS}, 0, 2, True),  # another one keeps it
        ({0: OTHER}, 0, 2, False),  # the other one is silent
        ({0: OURS}, 0, 2, False),  # nobody clears himself
        ({1: OURS}, 0, 2, True),
        ({0: OURS}, None, 2, False),  # after a restart: two have to show it
        ({0: OURS, 1: OURS}, None, 2, True),
        ({0: OTHER, 1: OTHER, 2: OURS}, 0, 3, False),  # a second one confirms what the first said
        ({0: OTHER, 1: OURS, 2: OURS}, None, 3, True),
    ],
)
def test_who_is_believed(shown: dict[int, Hash32], accuser: int | None, configured: int, kept: bool) -> None:
    assert keeps_root(OURS, shown, accuser, configured) is kept


@given(st.dictionaries(st.integers(0, 4), st.sampled_from([OURS, OTHER])), st.integers(0, 4) | st.none())
def test_two_against_it_or_none_for_it_is_never_kept(shown: dict[int, Hash32], accuser: int | None) -> None:
    against = sum(block == OTHER for block in shown.values())
    kept = keeps_root(OURS, shown, accuser, 5)
    assert not kept or (against <= 1 and against < len(shown))
