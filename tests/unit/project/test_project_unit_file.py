"""The unit file's promises that systemd's own tools can't judge."""

from __future__ import annotations

import re
from pathlib import Path

import trio

from fusion_daemon.aio import CLOSE_TIMEOUT
from fusion_daemon.config import load_config
from fusion_daemon.liveness import LOOP_LIMIT
from fusion_daemon.runtime import ChildSpec, SupervisorSpec
from fusion_daemon.secret_files import secret_names
from fusion_daemon.stopping import HTTP_STOP_TIMEOUT, stop_budget
from fusion_daemon.store import LEASE_CLOSE, POOLS_CLOSE
from fusion_daemon.store.embedded import STOP_LADDER
from tools.metrics_page import unstarted_house

CHAINS = 4
"""The unit's timeout is for up to this many; with more, raise it by a drop-in."""
MARGIN = 10.0
"""Seconds, for a machine that is slow in between."""
ROOT = Path(__file__).resolve().parents[3]
UNIT = (ROOT / "systemd" / "fusion-daemon.service").read_text()
CREDENTIALS = (ROOT / "systemd" / "credentials.conf.example").read_text()


def setting(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)


def test_readiness_and_liveness_are_the_daemons_own_word() -> None:
    assert setting("Type") == ["notify"]
    assert setting("NotifyAccess") == ["main"]
    assert 10 <= int(setting("WatchdogSec")[0]) <= 60


def house_of(chains: int) -> SupervisorSpec:
    """The shipped tree, of the shipped configuration's first chain and others like it."""
    config = load_config(ROOT / "config.toml")
    alike = [config.chains[0].model_copy(update={"id": each, "bridges": None}) for each in range(1, chains + 1)]

    async def build() -> SupervisorSpec:
        async with unstarted_house(config.model_copy(update={"chains": alike})) as (_, _, house):
            return house.stand.tree

    return trio.run(build)


def actors_of(spec: SupervisorSpec) -> list[ChildSpec]:
    found = []
    for child in spec.children:
        found += actors_of(child.start) if isinstance(child.start, SupervisorSpec) else [child]
    return found


def test_the_stop_timeout_holds_the_sum_of_all_stages() -> None:
    # actors, branch by branch -> both HTTP servers -> pools -> lease -> asyncio thread -> Postgres
    tree = house_of(CHAINS)
    assert len(actors_of(tree)) == 7 + CHAINS
    budget = stop_budget(tree.stop_budget(), embedded=True)
    assert budget + MARGIN <= int(setting("TimeoutStopSec")[0])
    beyond = stop_budget(0.0, embedded=False)
    assert beyond >= 2 * HTTP_STOP_TIMEOUT + LEASE_CLOSE + POOLS_CLOSE + CLOSE_TIMEOUT
    assert stop_budget(0.0, embedded=True) - beyond == sum(patience for _, patience in STOP_LADDER)


def test_every_actor_drains_and_all_of_them_in_less_than_ten_seconds() -> None:
    drains = {each.name: each.drain_timeout for each in actors_of(house_of(CHAINS))}
    assert all(drains.values()), drains
    assert sum(drains.values()) < 10.0


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
