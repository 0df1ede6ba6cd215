"""Run the runtime's own tests many times over, and once under coverage.

    python -m tools.runtime_suite [--times 10]

It fails when one repetition fails, when they take longer than LIMIT on average, or when a branch of the runtime is
never taken (`[tool.coverage]` in pyproject.toml). The n-th repetition explores from seed n, so that a failure comes
back; the order in which trio runs its tasks is another one each time. As many run at a time as there are processors.
"""

from __future__ import annotations

import argparse
import os
import resource
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
"""Seconds for one repetition, start of the interpreter included. Held to it is the processor's time, which on a machine
that does nothing else is wall time, since the suite waits for no real clock; elsewhere the others' work is not its."""
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


def processor_seconds() -> float:
    """What ended processes of this one have used so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def problems(repetitions: Sequence[Run], each_used: float, covered: Run) -> list[str]:
    """What is not as it should be; of a run that failed with its output."""
    found = [f"{each.name} failed:\n{each.output}" for each in (covered, *repetitions) if not each.passed]
    if each_used >= LIMIT:
        found.append(f"a repetition takes {each_used:.1f} s of the processor; the limit is {LIMIT:g} s")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the runtime's own tests many times over.")
    parser.add_argument("--times", type=int, default=10, help="repetitions, 1 or more")
    times = max(1, parser.parse_args().times)
    covered = coverage()
    before = processor_seconds()
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        repetitions = list(workers.map(repetition, range(1, times + 1)))
    each_used = (processor_seconds() - before) / times
    found = problems(repetitions, each_used, covered)
    for each in found:
        print(each)
    seconds = sorted(each.seconds for each in repetitions)
    print(
        f"runtime suite: {sum(each.passed for each in repetitions)} of {times} passed, {each_used:.1f} s of the "
        f"processor each ({seconds[0]:.1f} to {seconds[-1]:.1f} s on the wall); "
        f"every branch taken: {'yes' if covered.passed else 'no'}"
    )
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
