"""The stage that all end-to-end tests play on: real chains, a real Postgres, a real receiver, the daemon as a child."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusion_daemon.demo.stage import Stage, open_stage

SOAK = os.environ.get("FUSION_PRIME_SOAK") == "1"


@pytest.fixture
def stage() -> Iterator[Stage]:
    # Not tmp_path: as root, Postgres runs under another account, which may not enter pytest's directories.
    with tempfile.TemporaryDirectory(prefix="fusion-prime-e2e-") as name:
        with open_stage(Path(name), durable=False) as opened:
            yield opened


@pytest.fixture
def kills() -> int:
    """How often the daemon is killed: 10 in CI, 100 by `make soak`."""
    return 100 if SOAK else 10
