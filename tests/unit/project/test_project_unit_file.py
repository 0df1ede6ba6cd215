"""The unit file's promises that systemd's own tools can't judge."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fusion_daemon.config import load_config
from fusion_daemon.daemon import HTTP_STOP_TIMEOUT
from fusion_daemon.liveness import LOOP_LIMIT
from fusion_daemon.runtime import ChildSpec, SupervisorSpec
from fusion_daemon.secret_files import secret_names
from fusion_daemon.store.embedded import STOP_LADDER

CHAINS = 4
"""The unit's timeout is for up to this many; with more, raise it by a drop-in."""
ROOT = Path(__file__).resolve().parents[3]
UNIT = (ROOT / "systemd" / "fusion-daemon.service").read_text()
CREDENTIALS = (ROOT / "systemd" / "credentials.conf.example").read_text()


def setting(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)


def test_readiness_and_liveness_are_the_daemons_own_word() -> None:
    assert setting("Type") == ["notify"]
    assert setting("NotifyAccess") == ["main"]
    assert 10 <= int(setting("WatchdogSec")[0]) <= 60


def test_the_stop_timeout_holds_the_sum_of_all_stages() -> None:
    # actors, branch by branch -> both HTTP servers -> Postgres
    branch = SupervisorSpec((ChildSpec("actor", lambda: pytest.fail("not started here")),))
    branches = ["alerting", "risk", "oracle", *(f"chain:{each}" for each in range(CHAINS))]
    actors = SupervisorSpec(tuple(ChildSpec(name, branch) for name in branches)).stop_budget()
    database = sum(patience for _, patience in STOP_LADDER)
    assert actors + 2 * HTTP_STOP_TIMEOUT + database <= int(setting("TimeoutStopSec")[0])


def test_a_stuck_loop_is_noticed_before_systemd_gives_up() -> None:
    assert int(setting("WatchdogSec")[0]) >= 2 * LOOP_LIMIT


def test_a_bad_configuration_is_not_retried_and_anything_else_is() -> None:
    assert setting("RestartPreventExitStatus") == ["78"]
    assert setting("Restart") == ["on-failure"]
    assert setting("StartLimitIntervalSec") == ["0"]


def test_the_check_before_the_start_advises_and_does_not_forbid() -> None:
    (check,) = setting("ExecStartPre")
    assert check.startswith("-"), "a chain that is down at boot must not keep the others from being watched"
    assert " check --config /etc/fusion-prime/config.toml" in check


def test_a_reload_tells_how_it_went() -> None:
    (reload,) = setting("ExecReload")
    assert reload.endswith("fusion-daemon reload --config /etc/fusion-prime/config.toml")
    assert not reload.startswith("-"), "its exit code is that of `systemctl reload`"


def test_no_secret_travels_by_environment_or_command_line() -> None:
    assert not re.findall(r"(?im)^Environment=.*(KEY|TOKEN|SECRET|PASSWORD|DSN)", UNIT)
    assert "EnvironmentFile" not in UNIT
    loaded = re.findall(r"(?m)^LoadCredential=([a-z-]+):/etc/fusion-prime/secrets/\1$", CREDENTIALS)
    assert set(loaded) == set(secret_names(load_config(ROOT / "config.toml"))), "the examples fit"


def test_only_the_state_and_runtime_directories_are_writable() -> None:
    assert setting("ProtectSystem") == ["strict"]
    assert not setting("ReadWritePaths")
    assert setting("StateDirectory") == setting("RuntimeDirectory") == ["fusion-prime"]


def test_process_metrics_keep_their_source() -> None:
    assert not setting("ProcSubset"), "ProcSubset=pid hides /proc/stat and with it every process_* metric"
