"""How long from a price's commit to the webhook? The whole process, on real chains and a durable Postgres.

    python benchmarks/tick.py [--accounts 1000] [--ticks 120] [--core-accounts 100000] [--json]

* one_idle, one_loaded: exactly one account crosses into a margin call at each tick;
* all_idle, all_loaded: every account crosses at one tick (two ticks each: down and up again);
* loaded: both chains are read from far behind, and the admin API is asked as fast as it answers; what arrived
  when one of them had caught up is not counted (backlog_left: the blocks that were left when the last did);
* limit: one durable commit and one loopback POST, the least that such a delivery can take here, idle and loaded;
* core_*: one tick for many accounts in the risk core alone (see tick_core.py).
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import trio

from benchmarks import tick_core
from fusion_daemon.aio import open_aio
from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.demo.accounts import Player, players
from fusion_daemon.demo.deploy import DESK
from fusion_daemon.demo.ledger import count, price_commits, read
from fusion_daemon.demo.node import Sent, call_data
from fusion_daemon.demo.receiver import WebhookReceiver
from fusion_daemon.demo.scenario import await_margin, await_price
from fusion_daemon.demo.stage import CHAIN_IDS, Stage, open_stage
from fusion_daemon.domain.identifiers import Address, hex_of
from fusion_daemon.domain.price import USD_SCALE
from fusion_daemon.store import Commit, Execute, Reader, open_store

CALM_BPS = 4_000
"""Debt over collateral of the accounts that cross only when all do."""
FIRST_STEP_BPS, STEP_BPS = 6_590, 4
"""Of the accounts that cross one by one: each owes a little less than the one before."""
USD_PER_BPS = 2_000 * 12_500 / 8_250 / 10_000
"""A steppers' price of a health factor of 1.25, per basis point borrowed: 2,000 x 1.25 / 0.825."""
RESET_USD, BOTTOM_USD = 2_100, 1_200
LOGS_PER_TRANSACTION, BLOCKS = 200, 2_500
PATIENCE = 60.0
FLOOR_ROUNDS = 100

Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--ticks", type=int, default=120, help="of one account each, idle and loaded")
    parser.add_argument("--core-accounts", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fusion-prime-tick-") as name, open_stage(Path(name)) as stage:
        ours, limit = measure(stage, options.accounts, options.ticks)
    core = tick_core.measure(options.core_accounts)
    ours |= {f"core_{figure}": value for figure, value in core.items()}
    report = {"ours": _rounded(ours), "peers": {}, "limit": _rounded(limit)}
    if options.json:
        print(json.dumps(report))
        return
    for figure, value in report["ours"].items():
        print(f"{figure:34} {value:12,.2f}")
    for figure, value in report["limit"].items():
        print(f"limit: {figure:27} {value:12,.2f}")


def measure(stage: Stage, accounts: int, ticks: int) -> tuple[Figures, Figures]:
    """All four scenarios on one stage, and the limit beside them."""
    steppers, calm = _cast(accounts, ticks)
    emitters = _with_emitters(stage)
    stage.daemon.start()
    stage.register([*steppers, *calm])
    stage.deposit([*steppers, *calm])
    await_margin(stage, stage.players, "collateral_usd")
    stage.borrow([*steppers, *calm])
    await_margin(stage, stage.players, "health_factor")
    _settle(stage)
    figures = _percentiles("one_idle", _one_by_one(stage, steppers))
    figures |= _percentiles("all_idle", _all_at_once(stage))
    limit = _percentiles("one_idle", floor(stage))
    with _loaded(stage, emitters) as busy:
        limit |= _percentiles("one_loaded", floor(stage))
        figures |= _percentiles("one_loaded", _one_by_one(stage, steppers, busy))
        figures["one_loaded_backlog_left"] = float(busy())
    with _loaded(stage, emitters) as busy:
        figures |= _percentiles("all_loaded", _all_at_once(stage, busy))
        figures["all_loaded_backlog_left"] = float(busy())
    figures["load_logs"] = float(2 * len(emitters) * BLOCKS * LOGS_PER_TRANSACTION)
    return figures, limit


def _cast(accounts: int, ticks: int) -> tuple[list[Player], list[Player]]:
    """Steppers, called one at each tick, and the calm rest. All deposit on the first chain."""
    named = [
        Player(each.id, each.customer, each.addresses, 0, 10 * 10**18, each.borrowed_bps) for each in players(accounts)
    ]

    def owing(player: Player, bps: int) -> Player:
        return Player(player.id, player.customer, player.addresses, player.home, player.collateral, bps)

    steppers = [owing(player, FIRST_STEP_BPS - STEP_BPS * step) for step, player in enumerate(named[:ticks])]
    return steppers, [owing(player, CALM_BPS) for player in named[ticks:]]


def _idle() -> int:
    """The backlog of a scenario that wants none: all that it measures counts."""
    return 1


def _one_by_one(stage: Stage, steppers: Sequence[Player], busy: Callable[[], int] = _idle) -> list[float]:
    """Milliseconds of each stepper's margin call that arrived while `busy`."""
    _move(stage, RESET_USD * USD_SCALE)
    _settle(stage)
    told = _told(stage)
    latencies = []
    for player in steppers:
        usd = int((player.borrowed_bps - STEP_BPS / 2) * USD_PER_BPS * USD_SCALE)
        stage.deployments[0].set_weth_price(usd)
        _until(partial(_more_told, stage, len(told)), f"the call of {player.id}")
        new = set(_told(stage)) - set(told)
        if len(new) != 1:
            raise RuntimeError(f"{len(new)} accounts crossed at one tick")
        told = _told(stage)
        if busy():
            latencies.append(next(iter(new)))
    return _latencies(stage, latencies)


def _all_at_once(stage: Stage, busy: Callable[[], int] = _idle) -> list[float]:
    """Milliseconds of every alert of a tick that takes all accounts down, and of one that takes them up;
    of a tick whose last alert arrived while `busy`."""
    found = []
    for usd in (BOTTOM_USD, RESET_USD):
        before = set(_told(stage))
        _move(stage, usd * USD_SCALE)
        _settle(stage)
        if busy():
            found += _latencies(stage, [each for each in _told(stage) if each not in before])
    return found


def _move(stage: Stage, usd: int) -> None:
    stage.deployments[0].set_weth_price(usd)
    await_price(stage, usd // USD_SCALE)


def _settle(stage: Stage) -> None:
    _until(lambda: read(stage.dsn, count).settled, "all alerts delivered")


def _told(stage: Stage) -> dict[str, float]:
    """When each delivery first arrived, by webhook id."""
    found: dict[str, float] = {}
    for arrival in stage.receiver.arrivals():
        found.setdefault(arrival.webhook_id, arrival.at)
    return found


def _more_told(stage: Stage, than: int) -> bool:
    return len(_told(stage)) > than


def _latencies(stage: Stage, deliveries: Sequence[str]) -> list[float]:
    commits, told = read(stage.dsn, price_commits), _told(stage)
    return [(told[each] - commits[each]) * 1_000 for each in deliveries if each in commits]


def _with_emitters(stage: Stage) -> list[Address]:
    """A log emitter on each chain, watched like a vault."""
    text = stage.config.read_text()
    emitters = []
    for deployment in stage.deployments:
        emitter = deployment.node.deploy(DESK, load_artifact("EventEmitter").bytecode)
        vault = f'vaults = ["{hex_of(deployment.vault)}"'
        text = text.replace(vault, f'{vault}, "{hex_of(emitter)}"')
        emitters.append(emitter)
    stage.config.write_text(text)
    return emitters


@contextmanager
def _loaded(stage: Stage, emitters: Sequence[Address]) -> Iterator[Callable[[], int]]:
    """Both chains far behind and the API flooded inside the block; the value tells the blocks left to read."""
    names = [f"chain_listener:{chain}" for chain in CHAIN_IDS]
    for name in names:
        stage.daemon.post(f"/v1/actors/{name}/pause", {})
    emit = call_data("emitDeposits(uint256)", LOGS_PER_TRANSACTION)
    for deployment, emitter in zip(stage.deployments, emitters, strict=True):
        for _ in range(BLOCKS):
            deployment.node.send(Sent(DESK, emitter, emit))
    flood = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("flood.py")), stage.daemon.url.rpartition(":")[2], "acct-0000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    for name in names:
        stage.daemon.post(f"/v1/actors/{name}/resume", {})
    try:
        yield lambda: _backlog(stage)
    finally:
        flood.communicate()


def _backlog(stage: Stage) -> int:
    """Blocks that each listener has yet to read, at the least, by the API's word."""
    _, answer = stage.daemon.get("/v1/chains")
    chains = answer["chains"] if isinstance(answer, dict) else []
    return min(max(0, int(chain["head"]) - int(chain["tip"]["number"])) for chain in chains)


def floor(stage: Stage) -> list[float]:
    """Milliseconds of one durable commit of one row and one POST over a kept connection: nothing is faster here."""

    async def commits() -> list[float]:
        async with open_aio() as aio, open_store(aio, stage.dsn) as store:

            async def prepare(writer: Reader) -> None:
                await writer.fetch("CREATE TABLE IF NOT EXISTS benchmark_floor (number integer PRIMARY KEY)")
                await writer.fetch("TRUNCATE benchmark_floor")

            await store.transact(prepare, timeout=10)
            times = []
            for number in range(FLOOR_ROUNDS):
                proof = Execute("SELECT EXISTS (SELECT FROM benchmark_floor WHERE number = $1)", (number,))
                row = Execute("INSERT INTO benchmark_floor VALUES ($1)", (number,), expect=1)
                began = time.perf_counter()
                await store.commit(Commit((row,), proof=proof))
                times.append((time.perf_counter() - began) * 1_000)
            return times

    posts = _posts()
    return [commit + post for commit, post in zip(trio.run(commits), posts, strict=True)]


def _posts() -> list[float]:
    receiver = WebhookReceiver("whsec_" + "A" * 44)
    port = int(receiver.url.split(":")[2].split("/")[0])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    times = []
    for _ in range(FLOOR_ROUNDS):
        began = time.perf_counter()
        connection.request("POST", "/alerts", b"{}", {"Content-Type": "application/json"})
        connection.getresponse().read()
        times.append((time.perf_counter() - began) * 1_000)
    connection.close()
    receiver.close()
    return times


def _percentiles(name: str, values: Sequence[float]) -> Figures:
    ordered = sorted(values)
    if not ordered:
        raise RuntimeError(f"nothing to count for {name}: the backlog had ended before; raise BLOCKS")
    return {
        f"{name}_ms_p50": statistics.median(ordered),
        f"{name}_ms_p99": ordered[max(0, -(-len(ordered) * 99 // 100) - 1)],
        f"{name}_count": float(len(ordered)),
    }


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {PATIENCE:g} s: {what}")
        pause.wait(0.002)


def _rounded(figures: Figures) -> Figures:
    return {name: round(value, 2) for name, value in figures.items()}


if __name__ == "__main__":
    main()
