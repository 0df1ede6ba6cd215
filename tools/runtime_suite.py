"""Run the runtime's own tests many times over, and once under coverage.

    python -m tools.runtime_suite [--times 10]

It fails when one repetition fails, when none of them takes less than LIMIT, or when a branch of the runtime is never
taken (`[tool.coverage]` in pyproject.toml). The n-th repetition explores from seed n, so that a failure comes back; the
order in which trio runs its tasks is another one each time. As many run at a time as there are processors.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUITE = ("pytest", "tests/unit/runtime", "-q", "-p", "no:cacheprovider")
LIMIT = 10.0
"""Seconds of wall time, start of the interpreter included. The quickest repetition is held to it: what the others took
longer is what they shared the machine with."""
PATIENCE = 120.0
"""Seconds until a run counts as one that hangs."""


@dataclass(frozen=True, slots=True)
class Run:
    name: str
    seconds: float
    passed: bool
    output: str


def run(name: str, arguments: Sequence[str]) -> Run:
    """One process of this interpreter, to its end."""
    begun = time.monotonic()
    try:
        done = subprocess.run(
            (sys.executable, "-m", *arguments),
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as hanging:
        shown = hanging.stdout.decode(errors="replace") if isinstance(hanging.stdout, bytes) else ""
        return Run(name, PATIENCE, passed=False, output=f"{shown}\nstill running after {PATIENCE:g} s")
    return Run(name, time.monotonic() - begun, done.returncode == 0, done.stdout)


def repetition(number: int) -> Run:
    # The profile is named because Hypothesis takes another one in CI, which explores the same each time.
    return run(f"repetition {number}", (*SUITE, "--hypothesis-profile=default", f"--hypothesis-seed={number}"))


def coverage() -> Run:
    """Passes when the suite does and took every branch."""
    with tempfile.TemporaryDirectory() as directory:
        data = f"--data-file={directory}/coverage"
        measured = run("coverage", ("coverage", "run", data, "-m", *SUITE))
        return run("coverage", ("coverage", "report", data)) if measured.passed else measured


def problems(repetitions: Sequence[Run], covered: Run) -> list[str]:
    """What is not as it should be; of a run that failed with its output."""
    found = [f"{each.name} failed:\n{each.output}" for each in (covered, *repetitions) if not each.passed]
    quickest = min(each.seconds for each in repetitions)
    if quickest >= LIMIT:
        found.append(f"the quickest repetition took {quickest:.1f} s; the limit is {LIMIT:g} s")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the runtime's own tests many times over.")
    parser.add_argument("--times", type=int, default=10, help="repetitions, 1 or more")
    times = max(1, parser.parse_args().times)
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        covered = workers.submit(coverage)
        repetitions = list(workers.map(repetition, range(1, times + 1)))
    found = problems(repetitions, covered.result())
    print(*found, sep="\n")
    seconds = sorted(each.seconds for each in repetitions)
    print(
        f"runtime suite: {sum(each.passed for each in repetitions)} of {times} passed, "
        f"{seconds[0]:.1f} to {seconds[-1]:.1f} s each (median {statistics.median(seconds):.1f} s); "
        f"every branch taken: {'yes' if covered.result().passed else 'no'}"
    )
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
