"""Directories that the embedded Postgres may enter, whoever runs the tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_directory() -> Iterator[Path]:
    # Not tmp_path: as root, Postgres runs under another account, which may not enter pytest's directories.
    path = Path(tempfile.mkdtemp(prefix="fusion-prime-cli-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
