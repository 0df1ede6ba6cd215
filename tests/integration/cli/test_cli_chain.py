"""Rule: orders about a chain's history are given, waited for and told from the command line, and stand in the audit."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from fusion_daemon.cli import FAILED
from tests.integration.cli.processes import run
from tests.integration.cli.test_cli_daemon import CHAIN
from tests.integration.cli.test_cli_daemon import node as node  # noqa: PLC0414 - a fixture
from tests.integration.cli.test_cli_operation import config as config  # noqa: PLC0414 - a fixture
from tests.integration.cli.test_cli_operation import parsed, told
from tests.integration.cli.test_cli_operation import process as process  # noqa: PLC0414 - a fixture
from tests.integration.cli.test_cli_standby import fetch
from tests.looking import until

ONE = ("--chain", str(CHAIN))


def tip(config: Path) -> int | None:
    [chain] = cast("list[dict[str, int | None]]", parsed(config, "coverage")["chains"])
    return chain["tip"]


@pytest.mark.usefixtures("process")
def test_what_an_operator_orders_about_a_chain(config: Path, postgres_dsn: str) -> None:
    until(lambda: tip(config) is not None, "a block is stored")
    lines = told(config, "replay", *ONE, "--from", "0", "--to", "0", "--dry-run").splitlines()
    assert lines[0].endswith(f"replay of chain {CHAIN}, blocks 0-0 (dry run): done")
    assert lines[1:] == ["  compared 1 blocks with 0 stored logs", "  missing 0, differing 0", "  repaired 0"]
    order = parsed(config, "redecode", *ONE)
    assert (order["kind"], order["state"], order["dry_run"]) == ("redecode", "done", False)

    young = run("replay", *ONE, "--from", "0", "--to", "999999", "--config", config)
    assert young.returncode == FAILED
    assert "are not all stored and final" in young.stderr

    unknown = run("replay", "--chain", "1", "--from", "0", "--to", "0", "--config", config)
    assert unknown.returncode == FAILED
    assert "There is no configured chain 1." in unknown.stderr
    assert "GET /v1/chains lists the chains" in unknown.stderr

    final = run("skip", *ONE, "--from", "0", "--to", "0", "--reason", "none", "--config", config)
    assert final.returncode == FAILED
    assert "The logs of block 0, which is final, are read already" in final.stderr

    block = str(tip(config))
    answer = told(config, "skip", *ONE, "--from", block, "--to", block, "--reason", "no endpoint has it")
    assert answer.startswith(f"{block}-{block} skipped by uid:")
    assert answer.endswith(", not in force yet: no endpoint has it\n")
    until(lambda: "not in force yet" not in told(config, "coverage"), "the listener knows of it")
    rows = fetch(postgres_dsn, "SELECT action FROM audit WHERE action LIKE 'chain.%' ORDER BY id")
    assert rows == [("chain.replay",), ("chain.redecode",), ("chain.skip",)]
