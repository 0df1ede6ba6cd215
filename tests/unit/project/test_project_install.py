"""Rule: the installer leaves standard output to what `make` runs next, and quotes a tool only when it fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import install


def test_a_tool_that_succeeds_is_not_heard_and_steps_are_told_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install, "STAMPS", tmp_path / "stamps")
    made_from = tmp_path / "lock"
    made_from.write_text("x")
    for _ in range(2):
        install.stamped("step", made_from, lambda: install.run([sys.executable, "-c", "print('added 1 package')"]))
    assert capfd.readouterr() == ("", "install: step ...\n")


def test_a_tool_that_fails_is_quoted(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="exit code 3"):
        install.run([sys.executable, "-c", "print('no space left'); raise SystemExit(3)"])
    assert capfd.readouterr() == ("", "no space left\n\n")
