"""What the repository's own files may be called, say and hold."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-node.lock")
NPM_LOCKS = ("tools/anvil/package-lock.json", "contracts/package-lock.json")
# Written in parts, since this file is searched too.
REGISTRIES = tuple(
    ".".join(parts).encode()
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("npmmirror", "com"),
        ("jsr", "io"),
        ("crates", "io"),
        ("golang", "org"),
        ("debian", "org"),
        ("ghcr", "io"),
        ("docker", "io"),
        ("anaconda", "org"),
    )
)
NAMELESS = {"utils", "util", "helpers", "helper", "common", "base", "manager", "managers", "misc"}


def own_files() -> list[Path]:
    """Tracked files, and those that would be with the next `git add`."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    return [path for name in listed if name and (path := ROOT / name).is_file()]


def test_no_file_names_a_registry_host() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {host.decode()}"
        for path in own_files()
        for octets in [path.read_bytes().lower()]
        for host in REGISTRIES
        if host in octets
    ]
    assert not found


def test_every_python_file_is_named_for_what_it_holds() -> None:
    assert not [str(path) for path in own_files() if path.suffix == ".py" and path.stem in NAMELESS]


@pytest.mark.parametrize("lock", LOCKS)
def test_python_locks_pin_every_package_by_hash_and_name_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|--index-url|--extra-index-url|--find-links)\b", text, re.MULTILINE)
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
    unlocked = [entry.splitlines()[0] for entry in entries if entry.strip() and "--hash=sha256:" not in entry]
    assert not unlocked


@pytest.mark.parametrize("lock", NPM_LOCKS)
def test_npm_locks_hold_integrity_and_no_address(lock: str) -> None:
    packages = json.loads((ROOT / lock).read_text())["packages"]
    entries = {name: entry for name, entry in packages.items() if name}
    assert entries
    assert not [name for name, entry in entries.items() if "resolved" in entry]
    hashes = {name: str(entry.get("integrity")) for name, entry in entries.items()}
    assert not [name for name, text in hashes.items() if not text.startswith("sha512-")]


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_tests_run_on_the_very_versions_that_are_shipped() -> None:
    shipped, tested = pins("requirements.lock"), pins("requirements-dev.lock")
    assert shipped.items() <= tested.items()


def test_every_declared_package_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = re.compile(r"[a-z0-9-]+")
    runtime = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["embedded"]]
    assert {names.match(each)[0] for each in runtime} <= pins("requirements.lock").keys()  # type: ignore[index]
    development = project["dependency-groups"]["dev"]
    assert {names.match(each)[0] for each in development} <= pins("requirements-dev.lock").keys()  # type: ignore[index]


def test_every_lint_exception_has_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    ignored = re.search(r"^ignore = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert ignored is not None
    lines = ignored[1].splitlines()
    # A reason covers the entries that follow it with the same prefix.
    reasoned = ""
    for line in lines:
        prefix = re.match(r'\s*"([A-Z]+)', line)
        assert prefix is not None
        if "#" in line:
            reasoned = prefix[1]
        assert prefix[1] == reasoned, f"no reason: {line.strip()}"
