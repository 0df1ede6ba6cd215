"""What a daemon that waits for the lease shows and obeys: readiness, metrics, the operator's word, a stop signal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus

import trio
from structlog.typing import FilteringBoundLogger

from fusion_daemon.aio import Aio
from fusion_daemon.http.admin_routes import AuditTrail, Component
from fusion_daemon.http.metrics import Family, Sample, gauge
from fusion_daemon.http.route import Reply, Request, Role, Route, Routes, reply_json
from fusion_daemon.runtime import Notifier, feed_watchdog
from fusion_daemon.store import Candidacy, Lease, LeaseRole, LeaseStanding

TAKEOVER_SECONDS = 20.0
"""Seconds that an operator's takeover may take."""
HINDERED = "hindered"
"""The state of a standby that could not take over now."""


def lease_component(standing: LeaseStanding, *, serving: bool) -> Component:
    """The lease as readiness shows it. Only the holder is ready, and only once it is `serving` all its routes:
    nothing may be sent to a standby."""
    state, reason = standing.role.value, standing.hindrance
    if standing.role is LeaseRole.STANDBY:
        state = "standby" if reason is None else HINDERED
        holder = f"{standing.holder} holds the lease (term {standing.term})"
        reason = f"{holder}; this daemon takes over when it ends" if reason is None else f"{holder}; {reason}"
    return Component(
        "lease",
        serving and standing.role is LeaseRole.ACTIVE,
        state,
        standing.since,
        reason,
        healthy=standing.hindrance is None and standing.role is not LeaseRole.LOST,
    )


def lease_routes(candidacy: Candidacy, aio: Aio, audit: AuditTrail, instance: str) -> Routes:
    """The operator's word to a standby. It is recorded before it is obeyed, and again with its outcome."""

    async def takeover(request: Request) -> Reply:
        before = candidacy.standing
        await note(request, "requested", before)
        try:
            term = await aio.to_trio(candidacy.take_over, timeout=TAKEOVER_SECONDS)
        except Exception as error:
            await note(request, f"failed: {type(error).__name__}", before)
            raise
        await note(request, "done", before)
        return reply_json({"instance": instance, "term": term}, HTTPStatus.OK)

    async def note(request: Request, outcome: str, before: LeaseStanding) -> None:
        told = {"role": before.role, "holder": before.holder, "other_configuration": before.other_configuration}
        await audit.record(
            principal=request.caller().name,
            action="lease.takeover",
            target=instance,
            outcome=outcome,
            detail=reply_json(told).body,
            request_id=request.request_id,
        )

    summary = "Take the lease of the database now, whoever holds it; nothing changes when this daemon does."
    return (Route("POST", "/v1/lease/takeover", takeover, summary, Role.ADMIN),)


def lease_families(standing: LeaseStanding) -> Iterable[Family]:
    """What is scraped of the lease."""
    roles = [Sample(float(role is standing.role), (role.value,)) for role in LeaseRole]
    yield gauge("fusion_lease_role", "1 for the role that this daemon has.", roles, ("role",))
    yield gauge("fusion_lease_term", "The lease's term, as this daemon knows it.", [Sample(standing.term or 0)])
    yield gauge(
        "fusion_lease_silence_seconds",
        "For how long the holder had not renewed the lease when this standby last looked.",
        [Sample(standing.silence)],
    )
    yield gauge(
        "fusion_lease_hindered",
        "1 while this standby could not take over; readiness says why.",
        [Sample(standing.role is LeaseRole.STANDBY and standing.hindrance is not None)],
    )
    yield gauge(
        "fusion_lease_other_configuration",
        "1 while the holder decides by another configuration than this standby.",
        [Sample(standing.other_configuration)],
    )


class Announcer:
    """Every change to the log, and a standby's to the service manager: it does its job, so it is ready."""

    def __init__(self, notifier: Notifier, log: FilteringBoundLogger) -> None:
        self.notifier = notifier
        self.log = log
        self.stood_by = trio.Event()
        """It was told so as of a standby."""
        self.told = trio.Event()
        """The service manager has been told READY."""
        self._words = ""
        """With which it was last told so."""

    def ready(self, words: str) -> None:
        """Tell the service manager."""
        self._words = words
        self.notifier.ready(words)
        self.told.set()

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """After it was told READY: the service manager sees the block as a reload."""
        self.notifier.reloading("reloading the configuration")
        try:
            yield
        finally:
            self.notifier.ready(self._words)

    def __call__(self, now: LeaseStanding) -> None:
        told = {"role": now.role.value, "term": now.term, "holder": now.holder}
        if now.role is LeaseRole.STANDBY:
            hindered = "" if now.hindrance is None else f": {now.hindrance}"
            self.ready(f"standby of {now.holder}{hindered}")
            self.stood_by.set()
        if now.hindrance is not None:
            self.log.warning("lease", **told, other_configuration=now.other_configuration, reason=now.hindrance)
        elif now.taken is not None:
            self.log.info("lease", **told, taken=now.taken.value)
        else:
            self.log.info("lease", **told)


async def stand_by(candidacy: Candidacy, announcer: Announcer, held_back: Callable[[], Sequence[str]]) -> Lease | None:
    """Until this daemon holds the lease; None when a signal told it to stop before. Raises as `Candidacy.won`, in a
    group."""
    lease = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_waiting, nursery.cancel_scope, announcer)
        nursery.start_soon(_feed_while_standby, announcer, held_back)
        lease = await candidacy.won()
        nursery.cancel_scope.cancel()
    return lease


async def _stop_waiting(scope: trio.CancelScope, announcer: Announcer) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for signum in signals:
            announcer.log.info("stopping", signal=signal.Signals(signum).name)
            announcer.notifier.stopping(f"stopping on {signal.Signals(signum).name}")
            scope.cancel()
            return


async def _feed_while_standby(announcer: Announcer, held_back: Callable[[], Sequence[str]]) -> None:
    seconds = announcer.notifier.watchdog_seconds
    if seconds is not None:
        await announcer.stood_by.wait()  # before READY no sign of life is expected
        await feed_watchdog(announcer.notifier, held_back, seconds / 3)
