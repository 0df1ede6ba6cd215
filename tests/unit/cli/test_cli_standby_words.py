"""How a lease standing is told: as a component of readiness, and by the exit code of `status`."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fusion_daemon.standby import lease_component
from fusion_daemon.status import ComponentStatus, Readiness
from fusion_daemon.store import LeaseRole, LeaseStanding

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def standing(role: LeaseRole, hindrance: str | None = None) -> LeaseStanding:
    return LeaseStanding(role, 1.0, 3, "first", 0.5, False, hindrance)


@pytest.mark.parametrize(
    ("role", "hindrance", "serving", "ready", "state"),
    [
        (LeaseRole.STARTING, None, False, False, "starting"),
        (LeaseRole.STANDBY, None, False, False, "standby"),
        (LeaseRole.STANDBY, "why", False, False, "hindered"),
        (LeaseRole.ACTIVE, None, False, False, "active"),
        (LeaseRole.ACTIVE, None, True, True, "active"),
        (LeaseRole.LOST, "taken over", True, False, "lost"),
    ],
)
def test_only_a_holder_that_serves_is_ready(
    role: LeaseRole, hindrance: str | None, serving: bool, ready: bool, state: str
) -> None:
    component = lease_component(standing(role, hindrance), serving=serving)
    assert (component.ready, component.state) == (ready, state)
    if role is LeaseRole.STANDBY:
        assert "first holds the lease (term 3)" in (component.reason or "")
        assert hindrance is None or hindrance in (component.reason or "")


@pytest.mark.parametrize(("state", "stands_by"), [("standby", True), ("hindered", False), ("active", False)])
def test_a_standby_that_could_take_over_is_told_apart(state: str, stands_by: bool) -> None:
    told = Readiness(ready=False, components=(ComponentStatus("lease", False, state, NOW, 0, True),))
    assert told.stands_by is stands_by
    assert not told.well
