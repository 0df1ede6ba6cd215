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
from functools import partial
from random import Random

import structlog
import trio

from fusion_daemon.aio import Aio, open_aio
from fusion_daemon.composition import House, build_house
from fusion_daemon.config import Config
from fusion_daemon.config_hash import configuration_hash
from fusion_daemon.database import running_database
from fusion_daemon.domain.failure import Failure
from fusion_daemon.feeds import ChainCalls
from fusion_daemon.http.admin_routes import Component, health_routes
from fusion_daemon.http.metrics import Metrics, metrics_route
from fusion_daemon.http.operation_routes import drain_routes, operation_routes
from fusion_daemon.http.principals import Principals
from fusion_daemon.http.route import Routes
from fusion_daemon.http.server import AdminServer
from fusion_daemon.http.serving import serving
from fusion_daemon.inspection import Inspection
from fusion_daemon.judge import Judge
from fusion_daemon.liveness import loop_beats, reasons_to_starve, stuck_loops
from fusion_daemon.logs import Redactor, configure_logging
from fusion_daemon.metric_sources import add_house_sources, add_process_sources
from fusion_daemon.operation import FOUNDATION, ActorOperations, components_of
from fusion_daemon.runtime import Notifier, Supervisor, SystemClock, feed_watchdog
from fusion_daemon.secret_files import SecretFiles, secret_names
from fusion_daemon.settings import admin_http, chain_settings, check_signing_keys, metrics_http, principal_settings
from fusion_daemon.standby import Announcer, lease_component, lease_routes, stand_by
from fusion_daemon.stopping import HTTP_STOP_TIMEOUT, end_with_zombies, stop_budget, tell_departures
from fusion_daemon.store import Candidacy, Candidate, Lease, Store, migrate, open_candidacy, open_store

SWITCH_INTERVAL = 0.0005
"""Seconds: with the default of 5 ms an API flood would delay trio's loop."""
MIGRATION_TIMEOUT = 600.0


class LoopDied(Failure):
    """The asyncio thread ended by itself."""


class TakenOver(Failure):
    """Another daemon holds the database now."""


def run_daemon(config: Config) -> int:
    """Runs until SIGTERM or SIGINT; the exit code. Raises Failures of starting up."""
    secret = SecretFiles.of(config)
    redactor = Redactor(secret.every(secret_names(config)))
    configure_logging(style=config.logging.style, level=config.logging.level, redactor=redactor)
    check_signing_keys(config, secret)
    faulthandler.enable()
    sys.setswitchinterval(SWITCH_INTERVAL)
    trio.run(_live, config, secret)
    return 0


def migrate_database(config: Config) -> list[str]:
    """Apply what is pending; the names of what was applied. Raises MigrationRefused and the store's Failures."""

    async def bring_up() -> list[str]:
        async with running_database(config, SecretFiles.of(config)) as dsn, open_aio() as aio:
            return [one.name for one in await aio.call(migrate, dsn, timeout=MIGRATION_TIMEOUT)]

    return trio.run(bring_up)


async def _live(config: Config, secret: SecretFiles) -> None:
    log = structlog.get_logger("daemon").bind(instance=config.daemon.instance)
    announcer = Announcer(Notifier.from_environment(os.environ, os.getpid()), log)
    mine = Candidate(config.daemon.instance, configuration_hash(config), config.database.lease_seconds)
    async with running_database(config, secret) as dsn, open_aio() as aio:
        async with open_candidacy(aio, dsn, mine, announcer) as candidacy, open_store(aio, dsn) as store:
            async with ChainCalls(aio, [chain_settings(chain, secret) for chain in config.chains]) as calls:
                await _stand_by_and_run(config, secret, aio, candidacy, store, calls, announcer)
    log.info("stopped")


async def _stand_by_and_run(
    config: Config,
    secret: SecretFiles,
    aio: Aio,
    candidacy: Candidacy,
    store: Store,
    calls: ChainCalls,
    announcer: Announcer,
) -> None:
    """The house is built before the lease is won: what remains of a takeover is to start its actors."""
    clock, log = SystemClock(), announcer.log
    house = build_house(config, secret, clock, aio, store, calls)
    tree = Supervisor("root", house.tree, clock=clock, random=Random())  # noqa: S311 - jitter
    budget = partial(_stop_budget, config, tree)
    duty = [
        *lease_routes(candidacy, aio, house.audit, config.daemon.instance),
        *drain_routes(partial(_stop_in_order, budget), house.audit, config.daemon.instance),
    ]
    admin = _admin(config, secret, aio, candidacy, duty, log)
    metrics = Metrics(partial(_source_failed, log))
    add_process_sources(metrics, aio, store, admin, lambda: candidacy.standing)
    scraper = AdminServer(metrics_http(config), [metrics_route(metrics)], Principals((), os.getuid()), log)
    async with serving(aio, admin, HTTP_STOP_TIMEOUT) as bound, serving(aio, scraper, HTTP_STOP_TIMEOUT) as scraped:
        log.info("listening", admin=bound.port, socket=str(bound.socket), metrics=scraped.port)
        lease = await stand_by(candidacy, announcer, lambda: stuck_loops(aio.statistics()))
        if lease is None:
            return
        store.carry(lease)
        await house.registry.open()
        judge = Judge(partial(_components, aio, store, candidacy, tree, time.time()), FOUNDATION, clock)
        add_house_sources(metrics, house, tree, judge)
        admin.serve([*_routes(aio, store, house, tree, judge), *duty])
        await _supervise(tree, judge, aio, store, lease, announcer, budget)


async def _supervise(
    tree: Supervisor,
    judge: Judge,
    aio: Aio,
    store: Store,
    lease: Lease,
    announcer: Announcer,
    budget: Callable[[], float],
) -> None:
    """The tree, until a signal stops it, or until something ends without which nothing may go on."""
    notifier, log = announcer.notifier, announcer.log
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, tree, announcer, budget)
            nursery.start_soon(_end_with_loop, aio)
            nursery.start_soon(_end_with_lease, lease)
            if announcer.stood_by.is_set():  # the service manager was told READY long since
                nursery.start_soon(_feed_watchdog, tree, aio, store, notifier)
            nursery.start_soon(judge.watch)
            await nursery.start(partial(_run_tree, tree, nursery.cancel_scope))
            judge.look()
            notifier.ready("running")
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


def _stop_budget(config: Config, tree: Supervisor) -> float:
    return stop_budget(tree.statistics().stop_budget, len(config.chains), embedded=config.database.dsn is None)


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


def _admin(
    config: Config,
    secret: SecretFiles,
    aio: Aio,
    candidacy: Candidacy,
    duty: Routes,
    log: structlog.typing.FilteringBoundLogger,
) -> AdminServer:
    """The admin port of a daemon that does not hold the lease yet: how it is, and the operator's word."""
    settings = [principal_settings(each, secret) for each in config.http.principals]
    principals = Principals(settings, own_uid=os.getuid())
    health = health_routes(
        lambda: loop_beats(aio.statistics()), lambda: [lease_component(candidacy.standing, serving=False)]
    )
    return AdminServer(admin_http(config), [*health, *duty], principals, log)


def _components(
    aio: Aio, store: Store, candidacy: Candidacy, tree: Supervisor, started: float
) -> Sequence[Component]:
    trouble = store.statistics().trouble
    return [lease_component(candidacy.standing, serving=True), *components_of(tree, aio, trouble, started)]


def _routes(aio: Aio, store: Store, house: House, tree: Supervisor, judge: Judge) -> Routes:
    """All that the holder serves."""
    dead_letters = house.dead_letters.statistics
    inspection = Inspection(tree, house.topics, house.mailboxes, dead_letters, house.counted, store)
    return [
        *health_routes(lambda: loop_beats(aio.statistics()), judge.components),
        *operation_routes(inspection, ActorOperations(tree, aio), house.audit),
        *house.routes,
    ]


def _source_failed(log: structlog.typing.FilteringBoundLogger, source: str, error: BaseException) -> None:
    log.error("metrics_source_failed", source=source, exc_info=error)
