"""Rule: a reload reads every secret anew, knows which changed and who uses it, and keeps what it has if one is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusion_daemon.config import Config
from fusion_daemon.secret_files import (
    SecretChange,
    SecretFiles,
    SecretMissing,
    read_secrets,
    secret_changes,
    secret_names,
    secret_uses,
)

CONFIG = Config.model_validate(
    {
        "chains": [
            {"id": 1, "name": "one", "rpc_urls": ["http://a/{rpc-key}", "http://b/{rpc-key}"]},
            {"id": 2, "name": "two", "rpc_urls": ["http://c/{rpc-key}"]},
        ],
        "http": {"principals": [{"name": "ops", "token": "ops-token"}]},
    }
)
WITH_DESK = CONFIG.model_copy(
    update={
        "alerting": Config.model_validate(
            {
                "chains": [{"id": 1, "name": "one", "rpc_urls": ["http://a"]}],
                "alerting": {
                    "receivers": [{"name": "desk", "channel": "webhook", "target": "https://d/", "secret": "desk-key"}]
                },
            }
        ).alerting
    }
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("rpc-key", "ops-token", "desk-key"):
        (tmp_path / name).write_text(f"{name}-value-1\n")
    return tmp_path


def test_uses_are_named_once_each_in_the_words_of_an_operator() -> None:
    assert secret_uses(CONFIG) == {"rpc-key": ["chain 1", "chain 2"], "ops-token": ["principal ops"]}
    assert secret_names(CONFIG) == ["rpc-key", "ops-token"]


def test_only_a_changed_value_is_a_change(files: Path) -> None:
    secret = SecretFiles(files)
    before = read_secrets(CONFIG, secret)
    (files / "ops-token").write_text("ops-token-value-1")  # white space around a value is no part of it
    assert secret_changes(CONFIG, before, read_secrets(CONFIG, secret)) == []
    (files / "rpc-key").write_text("another")
    changed = secret_changes(CONFIG, before, read_secrets(CONFIG, secret))
    assert changed == [SecretChange("rpc-key", ("chain 1", "chain 2"))]


def test_a_secret_that_is_named_anew_is_a_change_and_one_that_is_no_longer_named_is_none(files: Path) -> None:
    secret = SecretFiles(files)
    without, with_desk = read_secrets(CONFIG, secret), read_secrets(WITH_DESK, secret)
    assert secret_changes(WITH_DESK, without, with_desk) == [SecretChange("desk-key", ("receiver desk",))]
    assert secret_changes(CONFIG, with_desk, without) == []


def test_a_missing_secret_is_named_and_nothing_changes(files: Path) -> None:
    (files / "rpc-key").unlink()
    (files / "ops-token").write_text("")
    with pytest.raises(SecretMissing, match=r"(?s)rpc-key.*ops-token"):
        read_secrets(CONFIG, SecretFiles(files))


def test_a_snapshot_holds_no_value(files: Path) -> None:
    assert "value-1" not in repr(read_secrets(CONFIG, SecretFiles(files)))
