"""The wheel holds everything that the daemon reads at run time, and nothing that it does not."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fusion_daemon import __version__

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("fusion_prime-*.whl")
    return zipfile.ZipFile(built)


def names_of(folder: str, pattern: str) -> set[str]:
    return {path.name for path in (ROOT / folder).glob(pattern)}


def test_every_module_migration_and_artifact_is_shipped(wheel: zipfile.ZipFile) -> None:
    held = set(wheel.namelist())
    sources = [path for top in ("fusion_daemon", "actors") for path in (ROOT / top).rglob("*.py")]
    modules = {str(path.relative_to(ROOT)) for path in sources}
    migrations = names_of("fusion_daemon/store/migrations", "*.sql")
    artifacts = names_of("contracts/artifacts", "*.json")
    assert migrations
    assert artifacts
    wanted = modules
    wanted |= {f"fusion_daemon/store/migrations/{name}" for name in migrations}
    wanted |= {f"fusion_daemon/chain/contract_artifacts/{name}" for name in artifacts}
    assert not wanted - held


def test_tests_and_tools_stay_at_home(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"fusion_daemon", "actors"}


def test_the_version_is_the_packages_own(wheel: zipfile.ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    assert f"\nVersion: {__version__}\n" in wheel.read(metadata).decode()


def test_the_command_and_the_licence_are_declared(wheel: zipfile.ZipFile) -> None:
    (scripts,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "fusion-daemon = fusion_daemon.cli:main" in wheel.read(scripts).decode()
    (licence,) = (name for name in wheel.namelist() if name.endswith("/licenses/LICENSE"))
    assert b"Apache License" in wheel.read(licence)
