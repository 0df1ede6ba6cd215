"""The daemon's life: from a configuration to a supervision tree that runs until it is told to stop.

Whatever ends it, the order is the same: the listeners of HTTP close, the tree stops in reverse order, then
the pool, the lease, the asyncio thread and the embedded Postgres.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import structlog
import trio

from fusion_daemon.aio import Aio, open_aio
from fusion_daemon.composition import House, Stand, build_house
from fusion_daemon.config import Config
from fusion_daemon.config_hash import configuration_hash
from fusion_daemon.database import running_database
from fusion_daemon.domain.failure import Failure
from fusion_daemon.http.admin_routes import Component, health_routes
from fusion_daemon.http.metrics import Metrics, metrics_route
from fusion_daemon.http.operation_routes import drain_routes, operation_routes
from fusion_daemon.http.principals import Principals
from fusion_daemon.http.route import Routes
from fusion_daemon.http.server import AdminServer
from fusion_daemon.http.serving import serving
from fusion_daemon.inspection import Inspection
from fusion_daemon.interpreter import prepare_interpreter
from fusion_daemon.judge import Judge
from fusion_daemon.liveness import loop_beats, reasons_to_starve, revive_stalled, stuck_loops
from fusion_daemon.logs import LogStyle, Redactor, configure_logging
from fusion_daemon.metric_sources import add_house_sources, add_process_sources
from fusion_daemon.operation import FOUNDATION, ActorOperations, components_of
from fusion_daemon.reload import Reloader
from fusion_daemon.reload_steps import HouseSteps
from fusion_daemon.reload_ways import AuditedReloads, reload_families, reload_routes
from fusion_daemon.runtime import Notifier, Supervisor, SystemClock, feed_watchdog
from fusion_daemon.secret_files import SecretFiles, SecretSnapshot, read_secrets
from fusion_daemon.settings import admin_http, check_signing_keys, metrics_http
from fusion_daemon.standby import Announcer, lease_component, lease_routes, stand_by
from fusion_daemon.stopping import HTTP_STOP_TIMEOUT, end_with_zombies, stop_budget, tell_departures
from fusion_daemon.store import Candidacy, Candidate, Lease, Store, open_candidacy, open_store


class LoopDied(Failure):
    """The asyncio thread ended by itself."""


class TakenOver(Failure):
    """Another daemon holds the database now."""


@dataclass(frozen=True, slots=True)
class Start:
    """What the daemon was started with."""

    path: Path
    config: Config
    secret: SecretFiles
    secrets: SecretSnapshot
    logs: LogStyle


def run_daemon(config: Config, path: Path) -> int:
    """Runs until SIGTERM or SIGINT; the exit code. `path` is where `config` was read, and is read again at a reload.
    Raises Failures of starting up."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until a reload can be heard: its default is to end the process
    redactor = Redactor()
    secret = SecretFiles.of(config, redactor.register)
    logs = configure_logging(style=config.logging.style, level=config.logging.level, redactor=redactor)
    start = Start(path.absolute(), config, secret, read_secrets(config, secret), logs)
    check_signing_keys(config, secret)
    faulthandler.enable()
    prepare_interpreter()
    trio.run(_live, start)
    return 0


async def _live(start: Start) -> None:
    config = start.config
    log = structlog.get_logger("daemon").bind(instance=config.daemon.instance)
    announcer = Announcer(Notifier.from_environment(os.environ, os.getpid()), log)
    mine = Candidate(config.daemon.instance, configuration_hash(config), config.database.lease_seconds)
    async with running_database(config, start.secret) as dsn, open_aio() as aio:
        async with open_candidacy(aio, dsn, mine, announcer) as candidacy, open_store(aio, dsn) as store:
            await _stand_by_and_run(start, aio, candidacy, store, announcer)
    log.info("stopped")


async def _stand_by_and_run(start: Start, aio: Aio, candidacy: Candidacy, store: Store, announcer: Announcer) -> None:
    """The house is built before the lease is won: what remains of a takeover is to start its actors."""
    config, clock, log = start.config, SystemClock(), announcer.log
    house = build_house(config, start.secret, clock, aio, store)
    admin = AdminServer(admin_http(config), (), house.stand.principals, log)
    steps = HouseSteps(start.path, start.secret, house, admin, start.logs, candidacy)
    reloader = Reloader(config, start.secrets, steps, house.stand, clock, log, announcer.reloading)
    reloads = AuditedReloads(reloader, store, config.daemon.instance, log)
    budget = partial(_stop_budget, house)
    duty = [
        *lease_routes(candidacy, aio, house.fixtures.audit, config.daemon.instance),
        *drain_routes(partial(_stop_in_order, budget), house.fixtures.audit, config.daemon.instance),
        *reload_routes(reloader, reloads, aio),
    ]
    admin.serve([*_standby_routes(aio, candidacy), *duty])
    metrics = Metrics(partial(_source_failed, log))
    add_process_sources(metrics, aio, store, admin, lambda: candidacy.standing)
    metrics.add("reload", lambda: reload_families(reloader.last))
    scraper = AdminServer(metrics_http(config), [metrics_route(metrics)], Principals((), os.getuid()), log)
    async with serving(aio, admin, HTTP_STOP_TIMEOUT) as bound, serving(aio, scraper, HTTP_STOP_TIMEOUT) as scraped:
        log.info("listening", admin=bound.port, socket=str(bound.socket), metrics=scraped.port)
        async with trio.open_nursery() as nursery:
            await nursery.start(reloads.on_signal, announcer.told)
            nursery.start_soon(_open_reloads, announcer, reloader)
            lease = await stand_by(candidacy, announcer, lambda: stuck_loops(aio.statistics()))
            if lease is not None:
                store.carry(lease)
                await house.fixtures.registry.open()
                if announcer.told.is_set():
                    await reloader.close()
                tree = Supervisor("root", house.stand.tree, clock=clock, random=Random())  # noqa: S311 - jitter
                judge = Judge(partial(_components, aio, store, candidacy, tree, time.time()), FOUNDATION, clock)
                add_house_sources(metrics, house, tree, judge)
                steps.act_on(tree, lambda: admin.serve([*_routes(aio, store, house, tree, judge), *duty]))
                await _supervise(tree, judge, aio, store, lease, announcer, reloader, budget)
            nursery.cancel_scope.cancel()


async def _supervise(
    tree: Supervisor,
    judge: Judge,
    aio: Aio,
    store: Store,
    lease: Lease,
    announcer: Announcer,
    reloader: Reloader[Stand],
    budget: Callable[[], float],
) -> None:
    """The tree, until a signal stops it, or until something ends without which nothing may go on. Reloads are kept
    out while it boots."""
    notifier, log = announcer.notifier, announcer.log
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, tree, announcer, budget)
            nursery.start_soon(_end_with_loop, aio)
            nursery.start_soon(_end_with_lease, lease)
            if announcer.stood_by.is_set():  # the service manager was told READY long since
                nursery.start_soon(_feed_watchdog, tree, aio, store, notifier)
            nursery.start_soon(judge.watch)
            nursery.start_soon(revive_stalled, tree, lambda: store.statistics().trouble)
            await nursery.start(partial(_run_tree, tree, nursery.cancel_scope))
            if announcer.told.is_set():
                reloader.open()  # else it opens with the first word to the service manager
            judge.look()
            announcer.ready("running")
            log.info("ready")
            if not announcer.stood_by.is_set():
                nursery.start_soon(_feed_watchdog, tree, aio, store, notifier)
    finally:
        tell_departures(tree.report, log)
        end_with_zombies(tree.zombies(), sys.exc_info()[1], log)


async def _feed_watchdog(tree: Supervisor, aio: Aio, store: Store, notifier: Notifier) -> None:
    if notifier.watchdog_seconds is not None:
        await feed_watchdog(
            notifier,
            lambda: reasons_to_starve(aio.statistics(), tree, store.statistics().trouble),
            notifier.watchdog_seconds / 3,
        )


async def _run_tree(
    tree: Supervisor,
    scope: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    await tree.run(task_status=task_status)
    scope.cancel("the tree has ended")


async def _stop_on_signal(tree: Supervisor, announcer: Announcer, budget: Callable[[], float]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for signum in signals:
            name = signal.Signals(signum).name
            announcer.log.info("stopping", signal=name)
            announcer.notifier.stopping(f"stopping on {name}")
            announcer.notifier.extend_timeout(budget())
            await tree.stop(name)
            return


def _stop_in_order(budget: Callable[[], float]) -> float:
    """From any thread: what SIGTERM does, in whichever role. Returns the seconds that it takes at most."""
    os.kill(os.getpid(), signal.SIGTERM)
    return budget()


def _stop_budget(house: House) -> float:
    stand = house.stand
    return stop_budget(stand.tree.stop_budget(), embedded=stand.config.database.dsn is None)


async def _end_with_loop(aio: Aio) -> None:
    await aio.died.wait()
    raise LoopDied(
        "The asyncio thread ended.",
        "Nothing reaches the database or the network any more.",
        "See the log; restart.",
    )


async def _end_with_lease(lease: Lease) -> None:
    await lease.lost.wait()
    raise TakenOver(
        f"Another daemon has taken over this database; term {lease.term} of the lease is over.",
        "Nothing that this one would still write takes effect, so it ends.",
        "Nothing, if that was wanted; started again, this daemon stands by.",
    )


async def _open_reloads(announcer: Announcer, reloader: Reloader[Stand]) -> None:
    """From the first word to the service manager on: what holds the lease then has the audit's table."""
    await announcer.told.wait()
    reloader.open()


def _standby_routes(aio: Aio, candidacy: Candidacy) -> Routes:
    """How a daemon is that does not hold the lease yet."""
    return health_routes(
        lambda: loop_beats(aio.statistics()), lambda: [lease_component(candidacy.standing, serving=False)]
    )


def _components(aio: Aio, store: Store, candidacy: Candidacy, tree: Supervisor, started: float) -> Sequence[Component]:
    trouble = store.statistics().trouble
    return [lease_component(candidacy.standing, serving=True), *components_of(tree, aio, trouble, started)]


def _routes(aio: Aio, store: Store, house: House, tree: Supervisor, judge: Judge) -> Routes:
    """All that the holder serves."""
    dead_letters = house.fixtures.dead_letters.statistics
    inspection = Inspection(tree, house.topics, house.fixtures.mailboxes, dead_letters, house.fixtures.counted, store)
    return [
        *health_routes(lambda: loop_beats(aio.statistics()), judge.components),
        *operation_routes(inspection, ActorOperations(tree, aio), house.fixtures.audit),
        *house.stand.routes,
    ]


def _source_failed(log: structlog.typing.FilteringBoundLogger, source: str, error: BaseException) -> None:
    log.error("metrics_source_failed", source=source, exc_info=error)
