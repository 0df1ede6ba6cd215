"""Tools whose packages the daemon's own environment must not hold get one of their own, from a lock of their own.

Standard library only.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class NotMade(Exception):
    """Its text says why."""


def own_environment(name: str) -> Path:
    """`.venv-<name>/bin` with what requirements-<name>.lock says, stamped with the lock's hash, which is written last.

    Raises NotMade.
    """
    venv, lock = ROOT / f".venv-{name}", ROOT / f"requirements-{name}.lock"
    digest = f"{sys.version_info[:2]} {venv} {hashlib.sha256(lock.read_bytes()).hexdigest()}"
    stamp = venv / ".stamp"
    if stamp.is_file() and stamp.read_text() == digest:
        return venv / "bin"
    print(f"{name}: environment ...", file=sys.stderr, flush=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([*pip, "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(lock)], check=True)
    except subprocess.CalledProcessError as error:
        raise NotMade(f"{name}: its environment cannot be made: {error}") from error
    stamp.write_text(digest)
    return venv / "bin"
