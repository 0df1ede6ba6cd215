"""Who takes part: how each is started, and how one sees in Postgres that it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks.ingestion.arguments import command_line
from benchmarks.ingestion.workload import Workload
from fusion_daemon.domain.identifiers import Address, hex_of

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Start:
    """What is started, and where."""

    command: Sequence[str]
    directory: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    does: str
    """What its figure includes, for readers."""
    start: Callable[[Workload, str], Start]
    """From the workload and the DSN of an empty database."""
    newest: str
    """A query for the newest block whose events are committed, all of them; null before the first one."""
    rows: str
    """A query that counts the events that it stored."""
    follows: bool = False
    """Does it go on with a chain that grows?"""


def _python(module: str) -> Callable[[Workload, str], Start]:
    def start(workload: Workload, dsn: str) -> Start:
        return Start([sys.executable, "-m", f"benchmarks.ingestion.{module}", *command_line(workload, dsn)])

    return start


OURS = Contender(
    "fusion-prime",
    "headers, parent hashes, bloom filters, decoding, journal, positions, raw logs; one transaction per span",
    _python("listener"),
    "SELECT tip_number FROM chain_state",
    "SELECT count(*) FROM chain_logs",
    follows=True,
)
LIMIT = Contender(
    "limit",
    "raw eth_getLogs and COPY; nothing is checked or decoded",
    _python("raw_copy"),
    "SELECT max(block_number) FROM raw",
    "SELECT count(*) FROM raw",
)
WEB3 = Contender(
    "web3.py",
    "contract.events.….get_logs and executemany; no headers, no checks",
    _python("web3_reader"),
    "SELECT max(block_number) FROM events",
    "SELECT count(*) FROM events",
)


def ponder(installed: Path) -> Contender:
    def start(workload: Workload, dsn: str) -> Start:
        environment = {
            "PONDER_TELEMETRY_DISABLED": "true",
            # Its parser wants a host, which the query then overrides by the socket's directory.
            "DATABASE_URL": dsn.replace("@/", "@localhost/"),
            "BENCH_CHAIN": str(workload.chain),
            "BENCH_RPC_URL": workload.url,
            "BENCH_EMITTER": hex_of(workload.emitter),
            "BENCH_FIRST": str(workload.first),
            "BENCH_POLL_MS": "100",
        }
        command = ["node", "node_modules/ponder/dist/esm/bin/ponder.js", "start", "--schema", "ponder", "--port", "0"]
        return Start(command, installed, environment)

    return Contender(
        "Ponder",
        "cold: it also stores raw blocks, transactions and logs as its cache",
        start,
        "SELECT max(block_number) FROM ponder.events",
        "SELECT count(*) FROM ponder.events",
        follows=True,
    )


def dipdup_environment(installed: Path, url: str, emitter: Address, first: int, dsn: str) -> dict[str, str]:
    """What its configuration asks for; also while its code is generated, which reads the same file."""
    address = urlsplit(dsn)
    return {
        "PYTHONPATH": "",
        "XDG_DATA_HOME": str(installed / "data"),
        "PGHOST": parse_qs(address.query)["host"][0],
        "BENCH_DATABASE": address.path[1:],
        "BENCH_RPC_URL": url,
        "BENCH_EMITTER": hex_of(emitter),
        "BENCH_FIRST": str(first),
    }


def dipdup(installed: Path) -> Contender:
    def start(workload: Workload, dsn: str) -> Start:
        environment = dipdup_environment(installed, workload.url, workload.emitter, workload.first, dsn)
        return Start(["venv/bin/dipdup", "-c", "dipdup.yaml", "run"], installed, environment)

    return Contender(
        "DipDup",
        "a model of its ORM for every event",
        start,
        "SELECT max(block_number) FROM dipdup.events",
        "SELECT count(*) FROM dipdup.events",
        follows=True,
    )
