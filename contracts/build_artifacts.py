#!/usr/bin/env python3
"""Compile the contracts and write `artifacts/<Name>.json` = {"contractName", "abi", "bytecode"}.

    python contracts/build_artifacts.py            rebuilds and writes
    python contracts/build_artifacts.py --check    rebuilds and writes nothing; exits 1 if any differs

Needs Node with npm on PATH; the compiler and forge come from `package-lock.json`. The metadata hash is
off, so an artifact depends only on the sources, the settings of `foundry.toml` and the locked compiler.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ARTIFACTS = HERE / "artifacts"
OUT = Path("out/shipped")
CACHE = Path("cache/shipped")
"""Apart from those of `forge test`, which would otherwise compile everything again after this build."""

SHIPPED = {
    "CrossChainVault": "CrossChainVault.sol",
    "Escrow": "Escrow.sol",
    "EscrowFactory": "EscrowFactory.sol",
    "EventEmitter": "EventEmitter.sol",
    "MockV3Aggregator": "TestFeed.sol",
    "RemoteCredit": "RemoteCredit.sol",
    "TestToken": "TestToken.sol",
}
"""Contract name to the source file that defines it."""

CODE_SIZE_LIMIT = 24_576
"""EIP-170: bytes of deployed code that a chain accepts."""


class BuildError(Exception):
    """What failed and what to do about it, for the terminal."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Compile the contracts and write or check their artifacts.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if an artifact differs")
    options = parser.parse_args(arguments)
    try:
        install()
        compile_sources()
        built = {name: artifact(name, source) for name, source in SHIPPED.items()}
    except BuildError as error:
        print(f"build_artifacts: {error}", file=sys.stderr)
        return 1
    return check(built) if options.check else write(built)


def install() -> None:
    """Install the locked tool chain unless what is installed is at least as new as the lock."""
    installed = HERE / "node_modules" / ".package-lock.json"
    lock = HERE / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError("npm is not on PATH. Install Node 20 or newer; only compiling contracts needs it.")
    run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
    installed.touch()


def compile_sources() -> None:
    """`--force`: an incremental build leaves bytecode out of some imported contracts."""
    forge = HERE / "node_modules" / ".bin" / "forge"
    if not forge.exists():
        raise BuildError("forge is not installed: this platform has no package in package-lock.json.")
    places = ["--out", str(OUT), "--cache-path", str(CACHE)]
    run([str(forge), "build", "--force", "--skip", "test", *places])


def run(command: list[str]) -> None:
    """Run in the contracts directory; its output is shown only when it fails."""
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"`{' '.join(command)}` failed ({done.returncode}):\n{done.stdout}{done.stderr}")


def artifact(name: str, source: str) -> str:
    """The shipped text of one contract. Refuses code that is unlinked or that no chain would accept."""
    compiled = json.loads((HERE / OUT / source / f"{name}.json").read_text(encoding="utf-8"))
    if compiled["bytecode"]["linkReferences"]:
        raise BuildError(f"{name} needs linking; libraries must be internal.")
    size = (len(compiled["deployedBytecode"]["object"]) - 2) // 2
    if size > CODE_SIZE_LIMIT:
        raise BuildError(f"{name} has {size} bytes of code, more than the {CODE_SIZE_LIMIT} a chain accepts.")
    shipped = {"contractName": name, "abi": compiled["abi"], "bytecode": compiled["bytecode"]["object"]}
    return json.dumps(shipped, indent=1) + "\n"


def write(built: dict[str, str]) -> int:
    ARTIFACTS.mkdir(exist_ok=True)
    for name, text in built.items():
        (ARTIFACTS / f"{name}.json").write_text(text, encoding="utf-8")
    print(f"{len(built)} artifacts written to {ARTIFACTS.relative_to(HERE.parent)}")
    return 0


def check(built: dict[str, str]) -> int:
    committed = {path.stem: path.read_text(encoding="utf-8") for path in ARTIFACTS.glob("*.json")}
    names = built.keys() | committed.keys()
    drifted = sorted(name for name in names if built.get(name) != committed.get(name))
    if not drifted:
        print(f"{len(built)} artifacts are what the sources compile to")
        return 0
    print(
        f"Artifacts differ from what the sources compile to: {', '.join(drifted)}.\n"
        "Run `python contracts/build_artifacts.py` and commit contracts/artifacts.",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
