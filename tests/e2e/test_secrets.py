"""Rule: no secret leaves the daemon, least of all when something goes wrong.

Every secret of the configuration is a recognisable word. RPC endpoints, receiver, mail server, database and
login fail in turn; then the log, /metrics, every GET route and what the commands print are searched.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

import fusion_daemon
from fusion_daemon.demo.accounts import players
from fusion_daemon.demo.child import free_port
from fusion_daemon.demo.configuration import RECEIVER_SECRET, TOKEN_SECRET
from fusion_daemon.demo.receiver import Answer
from fusion_daemon.demo.stage import Stage
from fusion_daemon.domain.price import USD_SCALE
from tests.e2e.talkative_node import talkative_node
from tests.e2e.witness import await_caught_up, heads_stored
from tests.looking import until

ROLE = "outsider"
PASSWORD = "planted/pass@word%1"
WRONG_PASSWORD = "planted-wrong/pass"
RPC_KEY = "planted-rpc-key-1b7d"
SMTP_PASSWORD = "planted-smtp-password"
FOREIGN_TOKEN = "planted-foreign-token-77aa"
CRASH = 1_500 * USD_SCALE
_GET = re.compile(r'"GET",\s*"(/[^"]*)"')


def test_no_secret_is_told_whatever_fails(stage: Stage, planted: Mapping[str, str]) -> None:
    said: dict[str, str] = {}
    with talkative_node() as talkative:
        _receiver_and_mail_fail(stage, said)
        stage.daemon.kill()
        _rpc_fails(stage, talkative, said)
        _postgres_goes_away(stage, said)
        stage.daemon.kill()
        _login_is_refused(stage, said)
    said["log"] = (stage.directory / "daemon.log").read_text()
    assert '"level": "error"' in said["log"] or '"level": "warning"' in said["log"]
    told = sorted(f"{where} tells {name}" for where, text in said.items() for name in _found(planted, text))
    assert told == []


@pytest.fixture
def planted(stage: Stage) -> dict[str, str]:
    """Every secret in every form in which it could be told, after it was put into the configuration."""
    folder = stage.directory / "secrets"
    _plant(folder, "postgres-password", PASSWORD)
    _plant(folder, "rpc-key", RPC_KEY)
    _plant(folder, "smtp-password", SMTP_PASSWORD)
    asyncio.run(_make_role(stage))
    text = stage.config.read_text()
    dsn = stage.dsn.replace("fusion_prime@", f"{ROLE}@")
    text = text.replace(f'dsn = "{stage.dsn}"', f'dsn = "{dsn}"\npassword = "postgres-password"')
    text = text.replace('style = "json"', 'style = "json"\nlevel = "debug"')
    text = text.replace('rpc_urls = ["', f'rpc_urls = ["{_with_key(f"127.0.0.1:{free_port()}")}", "')
    stage.config.write_text(text + _MAIL.format(port=free_port()))
    token, key = (folder / TOKEN_SECRET).read_text(), (folder / RECEIVER_SECRET).read_text().removeprefix("whsec_")
    return {
        "the token": token,
        "the token's hash": hashlib.sha256(token.encode()).hexdigest(),
        "the webhook key": key,
        "the webhook key in hexadecimal": base64.b64decode(key).hex(),
        "the password": PASSWORD,
        "the password, quoted": quote(PASSWORD, safe=""),
        "the wrong password": WRONG_PASSWORD,
        "the wrong password, quoted": quote(WRONG_PASSWORD, safe=""),
        "the RPC key": RPC_KEY,
        "the RPC key as a basic credential": base64.b64encode(f"{RPC_KEY}:{RPC_KEY}".encode()).decode(),
        "the mail password": SMTP_PASSWORD,
        "a stranger's token": FOREIGN_TOKEN,
        "a planted word": "planted",
    }


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


_MAIL = """
[[alerting.receivers]]
name = "mail"
channel = "email"
target = "desk@desk.example"

[alerting.smtp]
host = "127.0.0.1"
port = {port}
username = "fusion-prime"
password = "smtp-password"
sender = "fusion-prime@desk.example"
"""


def _receiver_and_mail_fail(stage: Stage, said: dict[str, str]) -> None:
    """The first endpoint of each chain is down too; the second serves."""
    stage.receiver.answer = lambda arrival: Answer(500)
    cast = players(4)
    stage.daemon.start()
    stage.register(cast)
    stage.deposit(cast)
    await_caught_up(stage)
    stage.borrow([player for player in cast if player.borrowed_bps <= 5_100])
    until(lambda: heads_stored(stage), "positions are stored")
    stage.set_price(CRASH)
    until(lambda: "HTTP 500" in _alerts(stage), "the receiver was tried")
    until(lambda: "cannot be reached" in _alerts(stage), "the mail server was tried")
    _ask_everything(stage, "while receivers fail", said)
    _check(stage, "while receivers fail", said)


def _rpc_fails(stage: Stage, talkative: str, said: dict[str, str]) -> None:
    """The first chain's only endpoint is down, the second's refuses and repeats the key."""
    first, second = stage.deployments
    text = stage.config.read_text()
    text = text.replace(f', "{first.node.url}"]', "]")
    text = text.replace(f', "{second.node.url}"]', f', "{_with_key(talkative)}"]')
    stage.config.write_text(text)
    stage.daemon.launch()
    until(lambda: "no plan for" in _ready(stage) and "did not answer" in _ready(stage), "both listeners say so")
    _ask_everything(stage, "while nodes fail", said)
    _check(stage, "while nodes fail", said)
    assert "no plan for" in said["check while nodes fail"]


def _postgres_goes_away(stage: Stage, said: dict[str, str]) -> None:
    stage.postgres.send(signal.SIGINT)
    assert stage.postgres.reaped(30.0)
    refused = said["GET /v1/prices without Postgres"] = _get(stage.daemon.url + "/v1/prices", {})
    assert refused.startswith("5")
    _check(stage, "without Postgres", said)
    stage.postgres.spawn()
    until(stage.postgres.ready, "Postgres accepts connections")


def _login_is_refused(stage: Stage, said: dict[str, str]) -> None:
    _plant(stage.directory / "secrets", "postgres-password", WRONG_PASSWORD)
    done = _command(stage, "run")
    said["run with a wrong password"] = done.stdout + done.stderr
    assert done.returncode == 1
    assert "refused the login" in done.stderr
    _check(stage, "with a wrong password", said)
    assert "refused the login" in said["check with a wrong password"]


def _with_key(place: str) -> str:
    """A URL that carries the key wherever providers put keys."""
    return f"http://{{rpc-key}}:{{rpc-key}}@{place}/v3/{{rpc-key}}?key={{rpc-key}}"


def _found(planted: Mapping[str, str], text: str) -> Iterator[str]:
    return (name for name, secret in planted.items() if secret in text)


def _plant(folder: Path, name: str, secret: str) -> None:
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(secret)


async def _make_role(stage: Stage) -> None:
    """A login that needs its password; the stage's own goes on without one."""
    rules = stage.postgres.cluster.data / "pg_hba.conf"
    connection = await asyncpg.connect(stage.dsn)
    try:
        await connection.execute(f"CREATE ROLE {ROLE} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
        rules.write_text(f"local all {ROLE} scram-sha-256\n{rules.read_text()}")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


def _command(stage: Stage, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "fusion_daemon", *words, "--config", str(stage.config)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def _check(stage: Stage, when: str, said: dict[str, str]) -> None:
    for words in ((), ("--json",)):
        done = _command(stage, "check", *words)
        assert done.returncode == 1
        said[f"check{''.join(words)} {when}"] = done.stdout + done.stderr


def _ask_everything(stage: Stage, when: str, said: dict[str, str]) -> None:
    """Every GET route that the sources name, with and without a stranger's token, and the metrics."""
    sources = Path(fusion_daemon.__file__).parent.rglob("*.py")
    paths = sorted({path for source in sources for path in _GET.findall(source.read_text())} - {"/metrics"})
    assert len(paths) >= 10
    for shape in paths:
        ident = _first_alert(stage) if shape.startswith("/v1/alerts") else stage.players[0].id
        path = shape.replace("{id}", ident).replace("{name}", "risk_calculator").replace("{stream}", "prices")
        for headers in ({}, {"Authorization": f"Bearer {FOREIGN_TOKEN}"}):
            said[f"GET {path} {when}, {len(headers)}"] = _get(stage.daemon.url + path, headers)
    said[f"metrics {when}"] = _get(stage.metrics_url, {})


def _first_alert(stage: Stage) -> str:
    _, answer = stage.daemon.get("/v1/alerts")
    assert isinstance(answer, dict)
    return str(answer["alerts"][0]["id"])


def _alerts(stage: Stage) -> str:
    """All alerts with their attempts, as text."""
    _, answer = stage.daemon.get("/v1/alerts")
    rows = answer["alerts"] if isinstance(answer, dict) else []
    return "".join(str(stage.daemon.get(f"/v1/alerts/{row['id']}")[1]) for row in rows)


def _ready(stage: Stage) -> str:
    try:
        return str(stage.daemon.get("/-/ready")[1])
    except OSError:
        return ""  # not listening yet


def _get(url: str, headers: Mapping[str, str]) -> str:
    """Status, headers and body, whatever the status."""
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return f"{answer.status}\n{answer.headers}\n{answer.read().decode()}"
    except urllib.error.HTTPError as answer:
        with answer:
            return f"{answer.code}\n{answer.headers}\n{answer.read().decode()}"
