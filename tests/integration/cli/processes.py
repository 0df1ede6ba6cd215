"""Commands as an operator starts them, and the processes that belong to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

INTERRUPTED = (130, -signal.SIGINT)
"""What a shell shows as 130. Python ends by the signal itself when it caught the interpreter inside an `exec`, as
dataclasses use it, whoever has handled the exception since."""


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "fusion_daemon", *map(str, words)]


def run(*words: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command to its end."""
    return subprocess.run(
        command(*words),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | (env or {}) | {"COLUMNS": "200"},
    )


@contextmanager
def started(*words: str | Path, log: Path, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a session of its own; killed at the end of the block if it still runs."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A test run in the background of a shell inherits that, and its children would be deaf to Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("wb") as out:
        process = subprocess.Popen(
            command(*words),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env=os.environ | (env or {}),
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class Alive:
    """A process that can't be taken for another one with the same number."""

    pid: int
    born: str
    name: str


def descendants(pid: int) -> set[Alive]:
    """All processes below `pid`, without it."""
    children: dict[int, list[Alive]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (found := _read(entry)) is not None:
            children.setdefault(found[0], []).append(found[1])
    below: set[Alive] = set()
    ask = [pid]
    while ask:
        for child in children.get(ask.pop(), []):
            below.add(child)
            ask.append(child.pid)
    return below


def left_of(before: set[Alive]) -> set[Alive]:
    now = {found[1] for entry in Path("/proc").iterdir() if entry.name.isdecimal() and (found := _read(entry))}
    return before & now


def _read(entry: Path) -> tuple[int, Alive] | None:
    try:
        stat = (entry / "stat").read_text()
    except OSError:
        return None  # it ended meanwhile
    name, fields = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
    # A zombie is nobody's work any more; whoever inherited it will reap it.
    return None if fields[0] == "Z" else (int(fields[1]), Alive(int(entry.name), fields[19], name))


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C of a terminal: SIGINT to the whole foreground group."""
    os.killpg(process.pid, signal.SIGINT)
