"""Rule: a peer that cannot run on this machine is named with the reason, and the benchmark goes on without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ingestion.peers import available_peers


def test_without_their_languages_two_peers_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    peers, missing = available_peers(["web3.py", "Ponder", "DipDup"])
    assert [peer.name for peer in peers] == ["web3.py"]
    assert set(missing) == {"Ponder", "DipDup"}
    assert "node" in missing["Ponder"]
    assert "Python 3.12" in missing["DipDup"]
