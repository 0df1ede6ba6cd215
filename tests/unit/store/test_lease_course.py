"""What a candidate does after a look at the lease: the whole table, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.store.lease import Backend, Candidate, Course, Sight, Taken, course, how_taken

MINE = Candidate("mine", "same", 10.0)
HELD = Sight(
    term=3,
    instance="other",
    configuration="same",
    since=0.0,
    seconds=10.0,
    silence=1.0,
    released=False,
    server_restarted=False,
    locked=True,
    backend=Backend(1, "then"),
)
DEAD = replace(HELD, locked=False)
SILENT = replace(HELD, silence=10.1)
DIFFERS = replace(HELD, configuration="other")
RELEASED = replace(HELD, released=True, locked=False, silence=900.0)
RESTARTED = replace(DEAD, server_restarted=True)


def after(seen: Sight | None, *, starting: bool = False, told: bool = False, silent_before: bool = False) -> Course:
    return course(MINE, seen, starting=starting, told=told, silent_before=silent_before)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(None, Course.QUEUE, id="an empty database"),
        pytest.param(HELD, Course.QUEUE, id="held: wait for its death"),
        pytest.param(DEAD, Course.QUEUE, id="dead"),
        pytest.param(RELEASED, Course.QUEUE, id="given back, however long ago"),
        pytest.param(SILENT, Course.QUEUE, id="silent at one look: perhaps the server stood still"),
        pytest.param(DIFFERS, Course.OTHER_CONFIGURATION, id="held under another configuration"),
        pytest.param(replace(DIFFERS, locked=False), Course.OTHER_CONFIGURATION, id="dead under another configuration"),
        pytest.param(replace(RELEASED, configuration="x"), Course.OTHER_CONFIGURATION, id="given back, another one"),
        pytest.param(RESTARTED, Course.AWAIT_RETURN, id="the server restarted: the holder may come back"),
        pytest.param(replace(RESTARTED, silence=11.0), Course.QUEUE, id="it restarted, and the holder's time is over"),
        pytest.param(replace(RESTARTED, instance="mine"), Course.QUEUE, id="it restarted, and I was the holder"),
        pytest.param(replace(RELEASED, server_restarted=True), Course.QUEUE, id="it restarted after the giving back"),
    ],
)
def test_what_a_standby_does(seen: Sight | None, expected: Course) -> None:
    assert after(seen) is expected


def test_a_holder_that_two_looks_find_silent_is_ousted() -> None:
    assert after(SILENT, silent_before=True) is Course.OUST
    assert after(HELD, silent_before=True) is Course.QUEUE, "it has renewed meanwhile"
    assert after(replace(SILENT, locked=False), silent_before=True) is Course.QUEUE, "nobody to oust"


@pytest.mark.parametrize("seen", [replace(RELEASED, configuration="x"), replace(DIFFERS, instance="mine")])
def test_a_start_may_change_the_configuration_of_what_is_its_own_or_given_back(seen: Sight) -> None:
    assert after(seen, starting=True) is Course.QUEUE
    assert after(seen, starting=False) is Course.OTHER_CONFIGURATION


def test_a_start_may_not_change_the_configuration_of_another_that_crashed() -> None:
    assert after(replace(DIFFERS, locked=False), starting=True) is Course.OTHER_CONFIGURATION


SIGHTS = st.builds(
    replace,
    st.just(HELD),
    instance=st.sampled_from(["mine", "other"]),
    configuration=st.sampled_from(["same", "other"]),
    silence=st.floats(0, 30),
    released=st.booleans(),
    server_restarted=st.booleans(),
    locked=st.booleans(),
)


@given(SIGHTS, st.booleans(), st.booleans())
def test_who_is_told_takes_it_whatever_it_sees(seen: Sight, starting: bool, silent_before: bool) -> None:
    told = after(seen, starting=starting, told=True, silent_before=silent_before)
    assert told is (Course.OUST if seen.locked else Course.QUEUE)


@given(SIGHTS, st.booleans(), st.booleans())
def test_who_is_not_told_never_ousts_a_holder_that_renews_or_decides_otherwise(
    seen: Sight, starting: bool, silent_before: bool
) -> None:
    way = after(seen, starting=starting, silent_before=silent_before)
    if way is Course.OUST:
        assert seen.locked
        assert seen.silence > seen.seconds
        assert silent_before
        assert seen.configuration == "same" or (starting and (seen.instance == "mine" or seen.released))


def test_how_a_term_began() -> None:
    assert how_taken(None, None, told=False) is Taken.FREE
    assert how_taken(RELEASED, None, told=False) is Taken.FREE
    assert how_taken(DEAD, None, told=False) is Taken.ENDED
    assert how_taken(DEAD, Course.OUST, told=False) is Taken.SILENT
    assert how_taken(DEAD, Course.OUST, told=True) is Taken.TOLD
