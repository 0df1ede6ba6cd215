"""Peers are installed by the benchmark itself, in pinned versions, into a cache that git ignores.

Without a network, or without what a peer needs, it says which peers are missing and why.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.ingestion.contenders import ROOT, WEB3, Contender, dipdup, dipdup_environment, ponder
from benchmarks.ingestion.web3_reader import ARTIFACT
from benchmarks.ingestion.workload import SENDER

CACHE = ROOT / ".benchmarks"
_PROJECTS = Path(__file__).parent
_INSTALL_SECONDS = 600.0
_DONE = ".installed"
DIPDUP_VERSION = "8.6.2"


class PeerMissing(Exception):
    """This peer cannot run here; its text says why."""


def available_peers(wanted: Sequence[str]) -> tuple[list[Contender], dict[str, str]]:
    """Those that can run here, and why each of the others cannot."""
    makers = {"web3.py": lambda: WEB3, "Ponder": _ponder, "DipDup": _dipdup}
    found: list[Contender] = []
    missing: dict[str, str] = {}
    for name in wanted:
        try:
            found.append(makers[name]())
        except PeerMissing as why:
            missing[name] = str(why)
    return found, missing


PEERS = ("web3.py", "Ponder", "DipDup")


def _ponder() -> Contender:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise PeerMissing("there is no node and npm on PATH")
    place = _project("ponder")
    if not (place / _DONE).exists():
        _run([npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"], place)
        (place / _DONE).touch()
    return ponder(place)


def _dipdup() -> Contender:
    python = _python312()
    place = _project("dipdup")
    if not (place / _DONE).exists():
        _run([python, "-m", "venv", "--clear", "venv"], place)
        _run(["venv/bin/python", "-m", "pip", "install", f"dipdup=={DIPDUP_VERSION}"], place)
        for source in place.rglob("*.py.in"):  # named so because its imports are only there
            target = place / "dipdup_bench" / source.relative_to(place).with_suffix("")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        abi = place / "dipdup_bench/abi/emitter/abi.json"
        abi.parent.mkdir(parents=True, exist_ok=True)
        abi.write_text(json.dumps(json.loads(ARTIFACT.read_bytes())["abi"]))
        # It asks neither of them yet.
        environment = dipdup_environment(place, "http://127.0.0.1:1", SENDER, 0, "postgresql:///none?host=none")
        _run(["venv/bin/dipdup", "-c", "dipdup.yaml", "init"], place, environment)
        (place / _DONE).touch()
    return dipdup(place)


def _python312() -> str:
    found = [shutil.which("python3.12"), *map(str, Path.home().glob(".pyenv/versions/3.12*/bin/python"))]
    for each in filter(None, found):
        # One on PATH may be a shim of a version manager that would not run it.
        if subprocess.run([each, "--version"], capture_output=True, check=False).returncode == 0:
            return each
    raise PeerMissing("there is no Python 3.12, the only one that it runs on")


def _project(name: str) -> Path:
    """A copy of the peer's project, as it is now, beside what was installed for it."""
    place = CACHE / name
    shutil.copytree(_PROJECTS / name, place, dirs_exist_ok=True)
    return place


def _run(command: Sequence[str], place: Path, environment: Mapping[str, str] | None = None) -> None:
    program = Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            cwd=place,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerMissing(f"{program} did not install it ({type(error).__name__})") from error
    if done.returncode != 0:
        raise PeerMissing(f"{program} ended with code {done.returncode} while installing it")
