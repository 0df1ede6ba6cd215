"""Set a clone up: `.venv` with the locked packages, this project in it, and anvil.

    python3 tools/install.py [--contracts]

Standard library only, since it runs before anything is installed. Every step is stamped with a hash
of what it was made from, so that a second run only hashes a few small files. `--contracts` adds the
Solidity tool chain, which only contract builds and tests need. Standard output stays empty: it belongs to
what `make` runs afterwards, and may be JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
STAMPS = VENV / ".stamps"
NPM_HOST = ("Linux", "x86_64")
"""The platform of the locked npm packages: a lock names the binaries of one platform."""
OLDEST, NEWEST = (3, 11), (3, 13)
OLDEST_NODE = 20


def stop(message: str) -> NoReturn:
    raise SystemExit(f"install: {message}")


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def run(command: Sequence[str | Path], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> None:
    """Its output is shown only when it fails."""
    done = subprocess.run(
        command, cwd=cwd, env=env, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode != 0:
        tell(done.stdout)
        stop(f"`{' '.join(map(str, command))}` failed (exit code {done.returncode}); its output is above.")


def stamped(name: str, made_from: Path, work: Callable[[], None], *, result: Path | None = None) -> None:
    """Do `work` unless it was done from exactly this file before and its result is still there.

    The stamp is written last: an interrupted step is done again.
    """
    digest = hashlib.sha256(made_from.read_bytes()).hexdigest()
    stamp = STAMPS / name
    if stamp.is_file() and stamp.read_text() == digest and (result is None or result.exists()):
        return
    tell(f"install: {name} ...")
    work()
    STAMPS.mkdir(exist_ok=True)
    stamp.write_text(digest)


def use_supported_python() -> None:
    """Go on under a Python that the project supports, or say which one is needed."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    probe = f"import sys; sys.exit(not {OLDEST} <= sys.version_info[:2] <= {NEWEST})"
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.run([found, "-c", probe], check=False, capture_output=True).returncode == 0:
            os.execv(found, [found, *sys.argv])  # noqa: S606
    stop(
        f"Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} is needed, this is "
        f"{platform.python_version()} and no other is on PATH. Install one, with pip and venv."
    )


def make_venv() -> None:
    """A venv is bound to its interpreter and to its place: made anew when either has changed."""
    wanted = f"{ROOT}\n{sys.version_info.major}.{sys.version_info.minor}\n"
    marker = VENV / ".made-for"
    if (BIN / "python").exists() and marker.is_file() and marker.read_text() == wanted:
        return
    if Path(sys.prefix).resolve() == VENV:
        stop("this clone's virtual environment must be made anew: leave it (`deactivate`) and try again.")
    tell("install: virtual environment ...")
    run([sys.executable, "-m", "venv", "--clear", VENV])
    marker.write_text(wanted)


def pip_install(*arguments: str | Path) -> None:
    run([BIN / "python", "-m", "pip", "install", "-qq", "--disable-pip-version-check", *arguments])


def install_locked(lock: str) -> None:
    # Wheels only: no C compiler is asked for, and nothing of a package runs at installation.
    stamped(
        lock,
        ROOT / lock,
        lambda: pip_install("--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", ROOT / lock),
    )


def install_project() -> None:
    stamped(
        "project",
        ROOT / "pyproject.toml",
        lambda: pip_install("--no-deps", "--no-build-isolation", "--editable", ROOT),
    )


def outer_path() -> str:
    """PATH without our own venv, whose links must not pass for the machine's tools."""
    parts = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(part for part in parts if Path(part).resolve() != BIN)


def node_environment() -> dict[str, str]:
    """The environment that finds node and npm: the machine's, else those of a locked wheel."""
    path = outer_path()
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node and npm:
        answer = subprocess.run([node, "--version"], check=False, capture_output=True, text=True)
        major = answer.stdout.strip().lstrip("v").partition(".")[0]
        if major.isdigit() and int(major) >= OLDEST_NODE:
            return {**os.environ, "PATH": path}
    install_locked("requirements-node.lock")
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{path}"}


def npm_ci(folder: Path) -> None:
    environment = node_environment()
    npm = shutil.which("npm", path=environment["PATH"])
    if npm is None:
        stop("npm is not there, though node's wheel has just been installed.")
    quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    run([npm, "ci", "--ignore-scripts", *quiet], cwd=folder, env=environment)


def install_anvil() -> None:
    """An anvil on PATH is used as it is; else the locked one is put where the demo looks for it."""
    if shutil.which("anvil", path=outer_path()):
        return
    if (platform.system(), platform.machine()) != NPM_HOST:
        stop(
            f"no anvil is on PATH, and the locked one is for {' '.join(NPM_HOST)}. "
            "Install Foundry's anvil for this platform, put it on PATH, and try again."
        )
    folder = ROOT / "tools" / "anvil"
    binary = folder / "node_modules" / ".bin" / "anvil"
    stamped("anvil", folder / "package-lock.json", lambda: npm_ci(folder), result=binary)
    if not os.access(binary, os.X_OK):
        stop(f"npm left no anvil at {binary.relative_to(ROOT)}.")


def install_contract_tools() -> None:
    folder = ROOT / "contracts"
    result = folder / "node_modules" / ".package-lock.json"
    stamped("contract-tools", folder / "package-lock.json", lambda: npm_ci(folder), result=result)
    node_environment()  # solc is run by node in later builds too, not only by npm now


def main() -> None:
    use_supported_python()
    parser = argparse.ArgumentParser(description="Set this clone up.")
    parser.add_argument("--contracts", action="store_true", help="the Solidity tool chain as well")
    arguments = parser.parse_args()
    make_venv()
    install_locked("requirements-dev.lock")
    install_project()
    install_anvil()
    if arguments.contracts:
        install_contract_tools()


if __name__ == "__main__":
    main()
