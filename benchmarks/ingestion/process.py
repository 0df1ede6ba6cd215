"""A contender as a process of its own: started, watched from outside by what the kernel counts, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Usage:
    cpu_seconds: float
    memory_bytes: int
    """Resident now, of all processes together."""


class ContenderEnded(Exception):
    """A contender ended before it was done."""


class WatchedProcess:
    """A process and those that it starts, in a session of their own."""

    def __init__(self, command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile(prefix="contender-")  # noqa: SIM115 - closed by stop()
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def usage(self) -> Usage:
        cpu = memory = 0
        for each in Path("/proc").iterdir():
            if not each.name.isdigit():
                continue
            try:
                fields = (each / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
            if int(fields[3]) == self._process.pid:
                # Its own time, and that of its children that have ended.
                cpu += sum(map(int, fields[11:15]))
                memory += int(fields[21])
        return Usage(cpu / _TICKS, memory * _PAGE)

    def ended(self) -> bool:
        return self._process.poll() is not None

    def output(self) -> str:
        self._log.seek(0)
        return self._log.read()[-4_000:].decode(errors="replace")

    def wait(self, seconds: float) -> int:
        """Its return code. Raises ContenderEnded with what it printed when it takes longer."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as late:
            raise ContenderEnded(f"{late}: {self.output()}") from late

    def stop(self) -> None:
        """With all that it started; at once."""
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_STOP_SECONDS)
        self._log.close()
