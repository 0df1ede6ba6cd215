"""Rule: a database that is away or full, for however long, never uses up a supervisor's patience with its actors."""

from __future__ import annotations

from fusion_daemon.runtime import Actor, ActorContext, ChildSpec, SupervisorSpec
from fusion_daemon.store.store import PATIENCE


class Nobody(Actor):
    name = "nobody"

    async def run(self, context: ActorContext) -> None:
        context.started()


CHILD = ChildSpec("nobody", Nobody)
TREE = SupervisorSpec((CHILD,))


def test_lives_that_end_for_want_of_the_database_are_too_long_to_count() -> None:
    # a commit waits for PATIENCE before it gives up, so that crashes are at least that far apart
    assert PATIENCE * TREE.intensity.limit >= TREE.intensity.period


def test_starts_that_wait_for_the_database_are_too_long_to_count() -> None:
    # a start claims its streams first, which waits until the start's own time is over
    assert CHILD.start_timeout <= PATIENCE
    assert CHILD.start_timeout * TREE.start_intensity.limit >= TREE.start_intensity.period
