"""Peers are installed by the benchmark itself, in pinned versions, into a cache that git ignores.

Without a network, or without what a peer needs, it says which peers are missing and why.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.ingestion.contenders import ROOT, WEB3, Contender, ponder

CACHE = ROOT / ".benchmarks"
_PROJECTS = Path(__file__).parent
_INSTALL_SECONDS = 600.0
_DONE = ".installed"


class PeerMissing(Exception):
    """This peer cannot run here; its text says why."""


def available_peers(wanted: Sequence[str]) -> tuple[list[Contender], dict[str, str]]:
    """Those that can run here, and why each of the others cannot."""
    makers = {"web3.py": lambda: WEB3, "Ponder": _ponder}
    found: list[Contender] = []
    missing: dict[str, str] = {}
    for name in wanted:
        try:
            found.append(makers[name]())
        except PeerMissing as why:
            missing[name] = str(why)
    return found, missing


PEERS = ("web3.py", "Ponder")


def _ponder() -> Contender:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise PeerMissing("there is no node and npm on PATH")
    place = _project("ponder")
    if not (place / _DONE).exists():
        _run([npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"], place)
        (place / _DONE).touch()
    return ponder(place)


def _project(name: str) -> Path:
    """A copy of the peer's project, as it is now, beside what was installed for it."""
    place = CACHE / name
    shutil.copytree(_PROJECTS / name, place, dirs_exist_ok=True)
    return place


def _run(command: Sequence[str], place: Path) -> None:
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerMissing(f"`{Path(command[0]).name}` did not install it ({type(error).__name__})") from error
    if done.returncode != 0:
        raise PeerMissing(f"`{Path(command[0]).name}` ended with code {done.returncode} while installing it")
