"""Rule: SIGTERM with 100,000 queued deliveries: attempts in flight come to their ends, nothing new is begun, and the
daemon has gone within its budget. Handled + still due = accepted, and each is handled once, whoever starts it again.

accepted   ████████████████████████████████████████ 100,000
daemon     ═══ delivers ═══ SIGTERM ─ drains ─╢     ╔═══ delivers on ═══
receiver   ─────────────── 16 held ── answers ╢     ╚════════════════════
"""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from fusion_daemon.alerting.acceptance import accept_margin_events
from fusion_daemon.alerting.settings import AlertingSettings
from fusion_daemon.alerting.settings import Receiver as Settings
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.child import DaemonChild, free_port
from fusion_daemon.domain.account import Channel
from fusion_daemon.store import Execute
from tests.e2e.conftest import SOAK
from tests.faults.receiver import HANG, OK, SECRET, Answer, Arrival, Receiver, receiving
from tests.looking import until
from tests.unit.alerting.margin_events import margin_event

ACCEPTED = 100_000
BEFORE = 1_000
"""Deliveries that have arrived when the receiver begins to hold them."""
AFTER = ACCEPTED if SOAK else 3_000
BUDGET = 10.0
"""Seconds: what all drains together may take."""
LANE = AlertingSettings(()).per_destination
CHAIN = 31_337

MULTIPLY = (
    """
    INSERT INTO alerts (id, type, severity, account, episode, step, occurred_at, accepted_at, summary, data, state)
    SELECT id || '-' || n, type, severity, account || '-' || n, episode, step, occurred_at, accepted_at, summary, data,
           state
    FROM alerts CROSS JOIN generate_series(2, $1::integer) AS more (n)
    """,
    """
    INSERT INTO deliveries (id, alert_id, alert_number, receiver, channel, target, destination, secret_name, severity,
                            account, episode, step, state, created_at, due_at)
    SELECT given.id || '-' || n, alerts.id, alerts.number, receiver, channel, target, destination, secret_name,
           given.severity, alerts.account, given.episode, given.step, given.state, created_at, due_at
    FROM deliveries AS given CROSS JOIN generate_series(2, $1::integer) AS more (n)
    JOIN alerts ON alerts.id = given.alert_id || '-' || n
    """,
)
"""One accepted margin call becomes as many, each of an account of its own."""


@dataclass
class Holding:
    """Answers, and from some moment on holds every request until the receiver is released."""

    receiver: Receiver
    holds: bool = False
    held: list[str] = field(default_factory=list)

    def __call__(self, arrival: Arrival, number: int) -> Answer:
        if not self.holds:
            return OK
        self.held.append(arrival.webhook_id)
        return HANG


@dataclass(frozen=True)
class Scene:
    dsn: str
    receiver: Receiver
    daemon: DaemonChild
    log: Path


@pytest.fixture
def scene(postgres_dsn: str) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory() as name, anvil(CHAIN) as node, receiving() as receiver:
        directory, port = Path(name), free_port()
        for folder in ("state", "secrets"):
            (directory / folder).mkdir(mode=0o700)
        (directory / "secrets" / "desk-key").write_text(SECRET)
        config, log = directory / "config.toml", directory / "log"
        config.write_text(
            f'[daemon]\nstate_directory = "{directory / "state"}"\n[database]\ndsn = "{postgres_dsn}"\n'
            f'[http]\nport = {port}\nmetrics_port = 0\n[logging]\nstyle = "json"\n'
            f'[secrets]\ndirectory = "{directory / "secrets"}"\n'
            f'[[chains]]\nid = {CHAIN}\nname = "local"\nrpc_urls = ["{node.url}"]\nstart_block = 0\n'
            f'[[alerting.receivers]]\nname = "desk"\nchannel = "webhook"\ntarget = "{receiver.url}"\n'
            'secret = "desk-key"\n'
        )
        daemon = DaemonChild(config, log, port, "")
        try:
            yield Scene(postgres_dsn, receiver, daemon, log)
        finally:
            daemon.kill()


def accept(scene: Scene) -> None:
    """One margin call as the risk calculator accepts it, and the others in bulk."""
    desk = Settings("desk", Channel.WEBHOOK, scene.receiver.url, "desk-key")
    writes = accept_margin_events([margin_event()], {}, [desk], time.time())

    async def write() -> None:
        connection = await asyncpg.connect(scene.dsn)
        try:
            for each in writes:
                assert isinstance(each, Execute)
                await connection.execute(each.sql, *each.args)
            for statement in MULTIPLY:
                await connection.execute(statement, ACCEPTED)
        finally:
            await connection.close()

    asyncio.run(write())


def recorded(scene: Scene) -> tuple[set[str], Counter[str]]:
    """The ids of the deliveries that are recorded as made, and how many there are in each state."""

    async def fetch() -> tuple[set[str], Counter[str]]:
        connection = await asyncpg.connect(scene.dsn)
        try:
            rows = await connection.fetch("SELECT id, state FROM deliveries")
            attempts = await connection.fetchval("SELECT count(*) FROM delivery_attempts")
        finally:
            await connection.close()
        made = {row["id"] for row in rows if row["state"] == "delivered"}
        assert attempts == len(made), "each in one attempt"
        return made, Counter(row["state"] for row in rows)

    return asyncio.run(fetch())


def events(log: Path, name: str) -> list[dict[str, object]]:
    return [told for line in log.read_text().split("\n")[:-1] if (told := json.loads(line))["event"] == name]


def assert_conserved(scene: Scene) -> int:
    """How many have been handled: each once, all of them recorded, and all others still due."""
    heard = scene.receiver.ids()
    assert set(heard.values()) == {1}, "none came twice"
    made, states = recorded(scene)
    assert made == set(heard)
    assert states.keys() <= {"delivered", "pending"}
    assert states["delivered"] + states["pending"] == ACCEPTED
    return len(made)


def assert_all_drained(scene: Scene) -> None:
    departures = events(scene.log, "actors_stopped")[-1]["departures"]
    assert isinstance(departures, list)
    assert "alert_dispatcher" in {each["actor"] for each in departures}
    assert {each["how"] for each in departures} == {"drained"}, departures


def test_sigterm_with_a_hundred_thousand_queued(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    accept(scene)
    receiver, daemon = scene.receiver, scene.daemon
    receiver.answer = holding = Holding(receiver)
    daemon.launch()
    until(lambda: len(receiver.arrivals()) >= BEFORE, "delivers")
    holding.holds = True
    until(lambda: len(holding.held) >= LANE, "as many are held as may be in flight")
    begun = time.monotonic()
    daemon.send(signal.SIGTERM)
    until(lambda: "alert_dispatcher" in {each["actor"] for each in events(scene.log, "actor_stopping")}, "it drains")
    receiver.release()
    assert daemon.ends_within(BUDGET)
    seconds = time.monotonic() - begun
    assert daemon.wait() == 0
    assert_all_drained(scene)
    before = assert_conserved(scene)
    assert len(holding.held) == LANE, "nothing was begun after the order to stop"

    holding.holds = False
    daemon.launch()
    until(lambda: len(receiver.arrivals()) >= min(ACCEPTED, before + AFTER), "delivers on", patience=900.0)
    again = time.monotonic()
    assert daemon.stop() == 0
    again = time.monotonic() - again
    assert_all_drained(scene)
    after = assert_conserved(scene)
    with capsys.disabled():
        print(
            f"\n{ACCEPTED:,} accepted: {before:,} handled, SIGTERM to exit {seconds:.2f} s;"
            f" {after:,} handled, SIGTERM to exit {again:.2f} s"
        )
