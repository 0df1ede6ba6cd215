"""The shipped unit, judged by systemd's own tools, with an ExecStart that exists here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
UNIT = "fusion-daemon.service"
INSTALLED = "/opt/fusion-prime/.venv/bin/fusion-daemon"
EXPOSURE_LIMIT = 12
"""Ten times systemd's exposure level."""
ANALYZE = shutil.which("systemd-analyze")

needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not on this machine")


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    """The unit and the credentials drop-in, as an operator installs them."""
    text = (ROOT / "systemd" / UNIT).read_text()
    assert len(re.findall(rf"^Exec\w+=-?{INSTALLED} ", text, re.MULTILINE)) == 3
    unit = tmp_path / UNIT
    unit.write_text(text.replace(INSTALLED, sys.executable))
    dropin = tmp_path / f"{UNIT}.d" / "credentials.conf"
    dropin.parent.mkdir()
    dropin.write_text((ROOT / "systemd" / "credentials.conf.example").read_text())
    return unit


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run([ANALYZE, *arguments], check=False, capture_output=True, text=True, timeout=60)


@needs_systemd
def test_systemd_knows_every_key_of_the_unit(rendered: Path) -> None:
    answer = analyze("verify", rendered)
    # Units of the machine itself may be complained about; ours may not.
    about_us = [line for line in (answer.stdout + answer.stderr).splitlines() if "fusion-daemon" in line]
    assert not about_us
    assert answer.returncode == 0


@needs_systemd
def test_a_misspelt_key_would_be_found(rendered: Path) -> None:
    rendered.write_text(rendered.read_text().replace("PrivateTmp=", "PrivateTemp="))
    assert "PrivateTemp" in analyze("verify", rendered).stderr


@needs_systemd
def test_exposure_stays_below_the_limit(rendered: Path) -> None:
    answer = analyze("security", "--offline=true", f"--threshold={EXPOSURE_LIMIT}", rendered)
    assert answer.returncode == 0, answer.stdout[-300:]


@needs_systemd
def test_an_unhardened_unit_would_be_refused(rendered: Path) -> None:
    lines = rendered.read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("Restrict", "SystemCall"))]
    rendered.write_text("\n".join(kept))
    assert analyze("security", "--offline=true", f"--threshold={EXPOSURE_LIMIT}", rendered).returncode != 0
