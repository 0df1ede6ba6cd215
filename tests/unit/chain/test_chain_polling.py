"""The polling interval follows the chain; rate limits and faults slow it down, successes bring it back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.chain.polling import Polling, Stillness, block_time
from fusion_daemon.chain.settings import PollSettings
from fusion_daemon.domain.identifiers import Hash32
from fusion_daemon.domain.journal import BlockRef

BOUNDS = PollSettings(shortest=0.1, longest=4.0)


def blocks(*timestamps: int) -> list[BlockRef]:
    return [BlockRef(number, Hash32(bytes(32)), at) for number, at in enumerate(timestamps)]


def test_interval_follows_the_block_time() -> None:
    polling = Polling(BOUNDS)
    assert block_time(blocks(5)) is None
    assert polling.interval([]) == 4.0
    assert polling.interval(blocks(0, 12, 24)) == 2.4
    assert polling.interval(blocks(0, 60, 120)) == 4.0
    assert polling.interval(blocks(7, 7, 7, 7)) == 0.1
    assert polling.interval(blocks(*range(0, 12 * 30, 12), 349, 350, 351)) > 1.5


@given(st.lists(st.sampled_from(["limited", "failed", "succeeded"]), max_size=40))
def test_slowdown_stays_bounded_and_recovers(history: list[str]) -> None:
    polling = Polling(BOUNDS)
    for event in history:
        polling = getattr(polling, event)()
        assert 0 < polling.backoff(None) <= 60.0
        assert polling.backoff(90.0) >= 90.0
        assert 1.0 <= polling.slowdown <= 64.0
    for _ in range(7):
        polling = polling.succeeded()
    assert polling == Polling(BOUNDS)


def test_what_was_committed_between_two_faults_parts_them() -> None:
    """A provider that fails now and then is not asked ever more seldom while it gives something each time."""
    polling = Polling(BOUNDS)
    for _ in range(10):
        polling = polling.progressed().failed()
    assert polling.backoff(None) == Polling(BOUNDS).failed().backoff(None)
    assert polling.limited().progressed().slowdown == 2.0


def test_backoff_doubles_with_every_fault() -> None:
    polling = Polling(BOUNDS).failed()
    waits = []
    for _ in range(4):
        waits.append(polling.backoff(None))
        polling = polling.failed()
    assert waits == [0.2, 0.4, 0.8, 1.6]


def test_a_rate_limit_slows_the_polling_itself() -> None:
    limited = Polling(BOUNDS).limited().limited()
    assert limited.interval(blocks(0, 5)) == 4.0
    assert limited.succeeded().interval(blocks(0, 5)) == 2.0


def test_a_pause_beyond_the_chains_own_counts_the_looks() -> None:
    """Blocks every 12 s: 120 s without one are ordinary; every 1 s: 30 s are."""
    slow, fast = blocks(0, 12, 24), blocks(0, 1, 2)
    for chain, pause in ((slow, 120.0), (fast, 30.0), (blocks(5), 30.0)):
        begun = Stillness().looked(chain, 100.0, 30.0)
        assert begun == begun.looked(chain, 100.0 + pause, 30.0)
        once = begun.looked(chain, 100.5 + pause, 30.0)
        assert (once.looks, once.looked(chain, 101.0 + pause, 30.0).looks) == (1, 2)
        moved = [*chain, BlockRef(9, Hash32(b"\x09" * 32), 99)]
        assert once.looked(moved, 102.0 + pause, 30.0) == Stillness(moved[-1].hash, 102.0 + pause, 0)


def test_a_chain_of_which_nothing_is_stored_does_not_stand_still() -> None:
    assert Stillness().looked([], 1_000.0, 30.0).looked([], 2_000.0, 30.0).looks == 0
