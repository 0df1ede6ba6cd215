"""Rule: CI repeats the runtime's tests ten times and takes every branch; `make soak` repeats them 200 times."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from tools import runtime_suite
from tools.runtime_suite import LIMIT, Run, problems, run

ROOT = Path(__file__).parents[3]


def expanded(target: str) -> str:
    """What `make` would run for it."""
    return subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    ).stdout


def passed(seconds: float) -> Run:
    return Run("repetition 1", seconds, passed=True, output="")


@pytest.mark.parametrize(("target", "times"), [("test", 10), ("soak", 200)])
def test_make_repeats_the_suite(target: str, times: int) -> None:
    assert f"-m tools.runtime_suite --times {times}\n" in expanded(target)


def test_every_branch_of_the_runtime_is_the_bar() -> None:
    coverage = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]
    assert coverage["run"] == {"branch": True, "source_pkgs": ["fusion_daemon.runtime"]}
    assert coverage["report"]["fail_under"] == 100
    assert "exclude_also" not in coverage["report"], "nothing is looked away from"
    marked = [path for path in (ROOT / "fusion_daemon/runtime").glob("*.py") if "pragma: no" in path.read_text()]
    assert not marked


def test_one_failure_is_a_failure_and_shows_its_output() -> None:
    broken = Run("repetition 2", 1.0, passed=False, output="E  assert 1 == 2")
    assert problems([passed(1.0), broken], passed(1.0)) == ["repetition 2 failed:\nE  assert 1 == 2"]
    assert len(problems([passed(1.0)], broken)) == 1, "so is a branch that nobody took"


def test_the_quickest_is_held_to_the_limit() -> None:
    assert problems([passed(LIMIT * 3), passed(LIMIT / 2)], passed(1.0)) == []
    assert len(problems([passed(LIMIT * 3), passed(LIMIT)], passed(1.0))) == 1


def test_a_run_that_hangs_is_ended_and_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_suite, "PATIENCE", 0.2)
    hanging = run("it", ("timeit", "-n1", "-r1", "import time; time.sleep(60)"))
    assert not hanging.passed
    assert "still running after 0.2 s" in hanging.output
