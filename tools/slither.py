"""Static analysis of the contracts, in an environment of its own: slither needs an older web3 than the daemon.

    python -m tools.slither

Exits with slither's code: not zero where a finding of medium or high impact is neither fixed nor explained beside
its line. Standard library only. Needs the contracts' tool chain (`python3 tools/install.py --contracts`), whose forge
and node must be on PATH or in their places.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tools.own_environment import ROOT, NotMade, own_environment

CONTRACTS = ROOT / "contracts"
COPY = CONTRACTS / "cache" / "slither"
"""Slither builds with `forge clean` and `--force`: in a directory of its own it spoils nobody's build."""
SOURCES = ("src", "foundry.toml", "solc-wrapper", "package.json")
OPTIONS = (
    *("--filter-paths", "node_modules|test|src/dev"),
    # These two detectors die where a Pyth price struct is returned directly.
    *("--exclude", "pyth-unchecked-confidence,pyth-unchecked-publishtime"),
    *("--exclude-low", "--exclude-informational", "--exclude-optimization", "--fail-medium"),
)


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
    binaries = own_environment("slither")
    copy_sources()
    tools = os.pathsep.join(map(str, (binaries, CONTRACTS / "node_modules" / ".bin")))
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    command = [str(binaries / "slither"), ".", *OPTIONS]
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
    try:
        sys.exit(main())
    except NotMade as why:
        sys.exit(str(why))
