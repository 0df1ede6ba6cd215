"""Rule: the demonstration plays by itself, says what came of it, and leaves nothing behind that nobody asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from urllib.request import urlopen

import pytest

from fusion_daemon.demo.command import ACCOUNTS
from fusion_daemon.demo.epilogue import next_price
from fusion_daemon.demo.scenario import AFTERMATH
from fusion_daemon.domain.price import USD_SCALE
from tests.integration.cli.processes import INTERRUPTED, Alive, descendants, interrupt, left_of, run, started
from tests.looking import until

CAST = {"postgres", "anvil", "python"}
"""Begin the names of the demonstration's processes: the last one is the daemon."""


def cast(pid: int) -> set[str]:
    return {part for part in CAST for each in descendants(pid) if each.name.startswith(part)}


def tips(url: str) -> list[int]:
    with urlopen(f"{url}/v1/chains", timeout=10) as answer:
        return [chain["tip"]["number"] for chain in json.load(answer)["chains"]]


def test_one_play_prints_one_plausible_object_and_tidies_up(open_directory: Path) -> None:
    done = run("demo", "--once", "--json", env={"TMPDIR": str(open_directory)})
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    report = json.loads(done.stdout)
    assert report["chains"] == 2
    assert report["accounts"] == ACCOUNTS
    assert report["blocks"] > 2 * 2
    assert report["events"] >= 2 * ACCOUNTS, "each deposits and borrows"
    assert report["alerts"] == report["margin_events"] > ACCOUNTS
    assert report["arrivals"] - report["duplicates"] == report["deliveries"] >= report["alerts"]
    assert (report["missing"], report["unsigned"], report["daemon_exit_code"]) == (0, 0, 0)
    latencies = report["tick_to_webhook_ms"]
    assert latencies
    assert all(0 < each < 10_000 for each in latencies)
    assert list(open_directory.iterdir()) == []


def test_a_kept_directory_is_kept_and_not_played_on_again(open_directory: Path) -> None:
    kept = open_directory / "demo"
    done = run("demo", "--once", "--json", "--data-dir", kept)
    assert done.returncode == 0, done.stderr
    held = {each.name for each in kept.iterdir()}
    assert {"postgres", "config.toml", "daemon.log", "secrets"} <= held
    mode = kept.stat().st_mode
    # Its chains are gone; new ones beside the old journal would be a reorganisation of final blocks.
    again = run("demo", "--once", "--json", "--data-dir", kept)
    assert again.returncode == 1
    assert again.stdout == ""
    assert f"{kept} is not an empty directory" in again.stderr
    assert "Traceback" not in again.stderr
    assert kept.stat().st_mode == mode


@pytest.mark.parametrize("words", [("demo", "--json"), ("demo",)])
def test_without_once_it_stays_until_ctrl_c_and_leaves_no_process(open_directory: Path, words: tuple[str]) -> None:
    log = open_directory / "log"
    temporary = open_directory / "tmp"
    temporary.mkdir(mode=0o755)
    with started(*words, log=log, env={"TMPDIR": str(temporary)}) as demo:
        until(lambda: "status --config" in log.read_text(), "the play has ended and the stage stays up")
        story = log.read_text()
        assert ("The daemon is killed (SIGKILL)." in story) == ("--json" not in words)
        told = dict(re.findall(r"^  (Admin API|Data|Token) +(\S+)", story, re.MULTILINE))
        assert Path(told["Token"]) == Path(told["Data"]) / "secrets/demo-token"
        seen = tips(told["Admin API"])
        until(lambda: all(now > then for now, then in zip(tips(told["Admin API"]), seen, strict=True)), "both move")
        below = descendants(demo.pid)
        assert cast(demo.pid) == CAST
        interrupt(demo)
        assert demo.wait(20) == 0
    assert_gone(below)
    assert list(temporary.iterdir()) == []
    assert '"daemon_exit_code": 0' in log.read_text()


@pytest.mark.parametrize("moment", ["postgres", "anvil", "python"])
def test_ctrl_c_at_any_moment_leaves_no_process(open_directory: Path, moment: str) -> None:
    log = open_directory / "log"
    temporary = open_directory / "tmp"
    temporary.mkdir(mode=0o755)
    with started("demo", "--once", "--json", log=log, env={"TMPDIR": str(temporary)}) as demo:
        until(lambda: moment in cast(demo.pid), f"{moment} runs")
        below = descendants(demo.pid)
        interrupt(demo)
        assert demo.wait(20) in INTERRUPTED, log.read_text()
    assert_gone(below)
    assert "Traceback" not in log.read_text()
    assert list(temporary.iterdir()) == []


def test_a_terminated_demonstration_tidies_up(open_directory: Path) -> None:
    log = open_directory / "log"
    temporary = open_directory / "tmp"
    temporary.mkdir(mode=0o755)
    with started("demo", "--json", log=log, env={"TMPDIR": str(temporary)}) as demo:
        until(lambda: cast(demo.pid) == CAST, "everybody runs")
        below = descendants(demo.pid)
        demo.terminate()
        assert demo.wait(20) in INTERRUPTED, log.read_text()
    assert_gone(below)
    assert "Traceback" not in log.read_text()
    assert list(temporary.iterdir()) == []


def test_a_killed_demonstration_takes_everybody_along(open_directory: Path) -> None:
    with started("demo", "--once", "--json", log=open_directory / "log", env={"TMPDIR": str(open_directory)}) as demo:
        until(lambda: cast(demo.pid) == CAST, "everybody runs")
        below = descendants(demo.pid)
        demo.kill()
        demo.wait()
    assert_gone(below)


def test_the_walk_after_the_play_stays_near_where_it_ended() -> None:
    random, price = Random(0), AFTERMATH[-1] * USD_SCALE
    for _ in range(10_000):
        moved = next_price(price, random)
        assert abs(moved - price) <= price // 100
        price = moved
        assert abs(price - AFTERMATH[-1] * USD_SCALE) <= AFTERMATH[-1] * USD_SCALE * 8 // 100


def assert_gone(below: set[Alive]) -> None:
    assert below
    until(lambda: not left_of(below), f"gone: {[each.name for each in left_of(below)]}", patience=10.0)
