"""The ways to a reload, HTTP and SIGHUP, and what is shown of the last one."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Protocol

import trio
from structlog.typing import FilteringBoundLogger

from fusion_daemon.accounts.audit import AuditEntry, By, Committer, detail_of, record
from fusion_daemon.aio import Aio
from fusion_daemon.config import ConfigurationInvalid
from fusion_daemon.domain.failure import Failure
from fusion_daemon.http import Reply, Request, Role, Route, Routes, body_as, reply_json
from fusion_daemon.http.metrics import Family, Kind, Sample, Unit
from fusion_daemon.http.principals import PrincipalsInvalid, TokenInvalid
from fusion_daemon.reload import LastReload, ReloadBusy, Reloaded, ReloadFailed, ReloadRefused
from fusion_daemon.reload_answer import ReloadAnswer, ReloadForm, StepAnswer
from fusion_daemon.risk.settings import RiskSettingsInvalid
from fusion_daemon.secret_files import SecretMissing

HTTP_SECONDS = 25.0
"""Below the server's own deadline. A reload that has begun goes on to its end."""
OUTCOME_SECONDS = 10.0
"""How long the outcome of a reload tries to be recorded."""
ACTION = "config.reload"
BY_SIGNAL = "signal:hup"
"""The principal in the audit: root or the daemon's own user."""

_FAILURES: dict[type[Failure], int] = {
    ConfigurationInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    PrincipalsInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    ReloadBusy: HTTPStatus.CONFLICT,
    ReloadFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    ReloadRefused: HTTPStatus.CONFLICT,
    RiskSettingsInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    SecretMissing: HTTPStatus.UNPROCESSABLE_ENTITY,
    TokenInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
}


class Reloads(Protocol):
    """The part of the Reloader that is asked here. Trio side; `last` from any thread."""

    last: LastReload

    async def reload(self, *, dry_run: bool) -> Reloaded: ...

    async def wait_and_reload(self) -> Reloaded: ...


class AuditedReloads:
    """Trio side.

    INVARIANT: a reload is recorded before it is begun and again with its outcome, as every command without an
    effect in the database; one that cannot be recorded is not begun. A dry run changes nothing, and leaves no row.
    """

    def __init__(self, reloads: Reloads, store: Committer, instance: str, log: FilteringBoundLogger) -> None:
        self._reloads = reloads
        self._store = store
        self._instance = instance
        self._log = log

    async def ask(self, by: By, dry_run: bool) -> Reloaded:
        """Raises as `Reloader.reload`, and what keeps the request from being recorded."""
        if dry_run:
            return await self._reloads.reload(dry_run=True)
        return await self._audited(by, partial(self._reloads.reload, dry_run=False))

    async def on_signal(
        self, may: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """SIGHUP, for ever. It is heard from the start on, and obeyed once one `may`. What fails is in the log; the old
        configuration goes on."""
        with trio.open_signal_receiver(signal.SIGHUP) as signals:
            task_status.started()
            await may.wait()
            async for _ in signals:
                try:
                    by = By(BY_SIGNAL, secrets.token_hex(16))
                    await self._audited(by, self._reloads.wait_and_reload)
                except Exception as error:  # noqa: BLE001 - nobody waits for an answer, and the daemon goes on
                    self._log.error("reload_by_signal_failed", exc_info=error)

    async def _audited(self, by: By, reload: Callable[[], Awaitable[Reloaded]]) -> Reloaded:
        await self._note(by, "requested")
        try:
            done = await reload()
        except Exception as error:
            await self._note_outcome(by, f"failed: {type(error).__name__}", None)
            raise
        await self._note_outcome(by, "done", done)
        return done

    async def _note(self, by: By, outcome: str, detail: bytes = b"{}") -> None:
        await record(self._store, AuditEntry(by, ACTION, self._instance, outcome, detail))

    async def _note_outcome(self, by: By, outcome: str, done: Reloaded | None) -> None:
        """Whoever stopped waiting, it has happened."""
        told = {} if done is None else {"steps": _steps(done), "configuration": done.configuration}
        with trio.move_on_after(OUTCOME_SECONDS, shield=True):
            await self._note(by, outcome, detail_of(told))


def reload_routes(reloads: Reloads, audited: AuditedReloads, aio: Aio) -> Routes:
    """asyncio side."""

    async def reload(request: Request) -> Reply:
        form = body_as(request, ReloadForm)
        by = By(request.caller().name, request.request_id)
        return reply_json(_shown(await aio.to_trio(audited.ask, by, form.dry_run, timeout=HTTP_SECONDS)))

    async def last(request: Request) -> Reply:
        seen = reloads.last
        return reply_json(
            {
                "succeeded": seen.succeeded,
                "at": datetime.fromtimestamp(seen.at, UTC),
                "reason": seen.why_not or None,
                "configuration": seen.configuration,
            }
        )

    return (
        Route("GET", "/v1/reload", last, "How the last reload went; the start counts as one."),
        Route(
            "POST",
            "/v1/reload",
            reload,
            "Read the configuration and the secrets anew and take them on, or with `dry_run` say what that would do.",
            Role.OPERATOR,
            _FAILURES,
        ),
    )


def reload_families(last: LastReload) -> Iterable[Family]:
    """What is scraped of reloads."""
    yield Family(
        "fusion_reload_succeeded",
        Kind.GAUGE,
        "1 when the last reload took the configuration on, 0 when it kept the old one; the start counts as one.",
        [Sample(float(last.succeeded))],
    )
    yield Family(
        "fusion_reload_timestamp_seconds",
        Kind.GAUGE,
        "Unix time of the last reload.",
        [Sample(last.at)],
        unit=Unit.SECONDS,
    )
    yield Family(
        "fusion_reloads_total",
        Kind.COUNTER,
        "Reloads since the start, by outcome; dry runs do not count.",
        [Sample(last.successes, ("done",)), Sample(last.failures, ("failed",))],
        ("outcome",),
    )
    yield Family(
        "fusion_configuration_info",
        Kind.GAUGE,
        "1, labelled with the hash of what decides in the configuration in force.",
        [Sample(1, (last.configuration,))],
        ("hash",),
    )


def _shown(done: Reloaded) -> ReloadAnswer:
    return ReloadAnswer(done.dry_run, _steps(done), done.plan.refused, done.warnings, done.configuration)


def _steps(done: Reloaded) -> tuple[StepAnswer, ...]:
    return tuple(StepAnswer(each.action, each.target, each.because) for each in done.plan.steps)
