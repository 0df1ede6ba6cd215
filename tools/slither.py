"""Static analysis of the contracts, in an environment of its own: slither needs an older web3 than the daemon.

    python3 tools/slither.py

Exits with slither's code: not zero where a finding of medium or high impact is neither fixed nor explained beside
its line. Standard library only. Needs the contracts' tool chain (`python3 tools/install.py --contracts`), whose forge
and node must be on PATH or in their places.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "contracts"
VENV = ROOT / ".venv-slither"
LOCK = ROOT / "requirements-slither.lock"
COPY = CONTRACTS / "cache" / "slither"
"""Slither builds with `forge clean` and `--force`: in a directory of its own it spoils nobody's build."""
SOURCES = ("src", "foundry.toml", "solc-wrapper", "package.json")
OPTIONS = (
    *("--filter-paths", "node_modules|test|src/dev"),
    # These two detectors die where a Pyth price struct is returned directly.
    *("--exclude", "pyth-unchecked-confidence,pyth-unchecked-publishtime"),
    *("--exclude-low", "--exclude-informational", "--exclude-optimization", "--fail-medium"),
)


def install() -> None:
    """The locked packages, stamped with the lock's hash, which is written last."""
    digest = f"{sys.version_info[:2]} {VENV} {hashlib.sha256(LOCK.read_bytes()).hexdigest()}"
    stamp = VENV / ".stamp"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    print("slither: environment ...", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(LOCK)], check=True)
    stamp.write_text(digest)


def copy_sources() -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    for name in SOURCES:
        source = CONTRACTS / name
        if source.is_dir():
            shutil.copytree(source, COPY / name)
        else:
            shutil.copy2(source, COPY / name)
    (COPY / "node_modules").symlink_to(CONTRACTS / "node_modules")


def main() -> int:
    try:
        install()
    except subprocess.CalledProcessError as error:
        print(f"slither: its environment cannot be made: {error}", file=sys.stderr)
        return 1
    copy_sources()
    tools = os.pathsep.join(map(str, (VENV / "bin", CONTRACTS / "node_modules" / ".bin")))
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    command = [str(VENV / "bin" / "slither"), ".", *OPTIONS]
    done = subprocess.run(
        command, cwd=COPY, env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        print("slither: fix each finding, or explain it where it is found (contracts/README.md).", file=sys.stderr)
    else:
        print("slither: no finding of medium or high impact")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
