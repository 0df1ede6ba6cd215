"""Rule: a reload touches what the change is about, in order, and names what it cannot change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.config import Config
from fusion_daemon.reload_plan import Action, ReloadPlan, Step, plan_reload, undoing

A, B, C = "0x" + "a" * 40, "0x" + "b" * 40, "0x" + "c" * 40
BRIDGES = {"router": A, "axelar": {"name": "two", "gateway": B, "gas_service": C, "adapter": A}}
RAW: dict[str, Any] = {
    "http": {"principals": [{"name": "ops", "role": "operator", "token": "ops-token"}]},
    "chains": [
        {"id": 1, "name": "one", "rpc_urls": ["http://one.example/{one-key}"], "vaults": [A]},
        {"id": 2, "name": "two", "rpc_urls": ["http://two.example"], "tokens": [{"address": B, "asset": "ETH"}]},
    ],
    "oracle": {"assets": [{"asset": "ETH", "sources": [{"kind": "static", "usd": "2000"}]}]},
    "alerting": {
        "receivers": [{"name": "desk", "channel": "webhook", "target": "http://desk.example", "secret": "desk-key"}]
    },
}


def changed(path: str, value: object) -> Config:
    """RAW with the value at `chains.0.name`."""
    raw: Any = Config.model_validate(RAW).model_dump(mode="json")
    *way, last = path.split(".")
    place = raw
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[int(last) if last.isdigit() else last] = value
    return Config.model_validate(raw)


def plan(new: Config, *secrets: str) -> ReloadPlan:
    return plan_reload(Config.model_validate(RAW), new, secrets)


def told(plan: ReloadPlan) -> list[tuple[str, str]]:
    return [(step.action.value, step.target) for step in plan.steps]


def test_nothing_changed_is_an_empty_plan() -> None:
    assert plan(Config.model_validate(RAW)) == ReloadPlan((), (), ())


@pytest.mark.parametrize(
    ("path", "value", "steps"),
    [
        ("logging.level", "debug", [("update", "logging")]),
        ("http.principals", [], [("update", "principals")]),
        ("risk.hysteresis_bps", 300, [("restart", "risk")]),
        ("oracle.poll_seconds", 3.0, [("restart", "oracle")]),
        ("transactions", {"poll_seconds": 3.0}, [("restart", "transactions")]),
        ("alerting.concurrency", 64, [("restart", "alerting"), ("restart", "risk")]),
        ("retention.journal_days", 30, [("update", "retention")]),
        ("chains.0.poll_max_seconds", 3.0, [("restart", "chain:1")]),
        (
            "chains.0.rpc_urls",
            ["http://other.example"],
            [("restart", "chain:1"), ("restart", "oracle"), ("restart", "transactions")],
        ),
        ("chains.0.ws_urls", ["ws://other.example"], [("restart", "chain:1")]),
        (
            "chains.0.calls_per_second_max",
            25.0,
            [("restart", "chain:1"), ("restart", "oracle"), ("restart", "transactions")],
        ),
        ("chains.1.tokens", [{"address": C, "asset": "ETH"}], [("restart", "risk")]),
        ("chains.1.bridges", BRIDGES, [("restart", "messages"), ("restart", "chain:2")]),
        ("messages.orphan_grace_seconds", 60, [("restart", "messages")]),
        ("messages.explorers.ccip_api", "https://ccip.example", [("update", "explorers")]),
    ],
)
def test_a_change_touches_whom_it_concerns(path: str, value: object, steps: list[tuple[str, str]]) -> None:
    found = plan(changed(path, value))
    assert told(found) == steps
    assert not found.refused
    assert all(path.rsplit(".", maxsplit=1)[-1] in reason for reason in found.steps[0].because)


@pytest.mark.parametrize(
    ("secret", "steps"),
    [
        ("ops-token", [("update", "principals"), ("update", "secrets")]),
        ("desk-key", [("update", "secrets")]),
        (
            "one-key",
            [("update", "secrets"), ("restart", "chain:1"), ("restart", "oracle"), ("restart", "transactions")],
        ),
        ("nobody-names-it", []),
    ],
)
def test_a_secret_that_changed_reaches_whoever_keeps_it(secret: str, steps: list[tuple[str, str]]) -> None:
    assert told(plan(Config.model_validate(RAW), secret)) == steps


def test_for_how_long_a_price_stands_is_the_risk_rooms_to_know() -> None:
    slower = plan(changed("oracle.assets.0.heartbeat_seconds", 90.0))
    assert told(slower) == [("restart", "risk"), ("restart", "oracle")]
    assert told(plan(changed("oracle.assets.0.deviation_bps", 20))) == [("restart", "oracle")]


def test_an_asset_that_comes_is_kept_and_judged() -> None:
    assets = [*RAW["oracle"]["assets"], {"asset": "USDC", "sources": [{"kind": "static", "usd": "1"}]}]
    steps = [("update", "retention"), ("restart", "risk"), ("restart", "oracle")]
    assert told(plan(changed("oracle.assets", assets))) == steps


def test_a_database_password_that_changed_is_not_passed_over_in_silence() -> None:
    raw = {**RAW, "database": {"dsn": "postgresql://us@db.example/x", "password": "db-password"}}
    config = Config.model_validate(raw)
    found = plan_reload(config, config, ["db-password"])
    assert told(found) == [("update", "secrets")]
    assert found.warnings == (
        "secret db-password: connections to the database log in with the old one until a restart",
    )


@given(st.lists(st.sampled_from(Action)))
def test_undone_twice_is_done(actions: list[Action]) -> None:
    steps = [Step(action, "x", ()) for action in actions]
    assert [undoing(undoing(step)) for step in steps] == steps


def test_a_chain_comes_before_its_consumers_start_anew_and_goes_after() -> None:
    raw = dict(RAW)
    raw["chains"] = [RAW["chains"][1], {"id": 3, "name": "three", "rpc_urls": ["http://three.example"]}]
    found = plan(Config.model_validate(raw))
    restarted = [("restart", "risk"), ("restart", "oracle"), ("restart", "transactions")]
    assert told(found) == [("add", "chain:3"), *restarted, ("remove", "chain:1")]
    assert found.warnings == ("chain 1 goes: what accounts hold and owe there no longer counts in their margin",)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("daemon.instance", "other"),
        ("daemon.state_directory", "/elsewhere"),
        ("database.dsn", "postgresql://db.example/x"),
        ("http.port", 9999),
        ("secrets.directory", "/elsewhere"),
    ],
)
def test_what_only_a_restart_can_change_is_named(path: str, value: object) -> None:
    found = plan(changed(path, value))
    assert found.refused == (path,)
    assert not found.steps


SIGNER = {
    "name": "hot",
    "address": C,
    "chains": [1],
    "keystore": "hot-keystore",
    "passphrase": "hot-passphrase",
    "gas_wei_a_day": "1",
}
LIMIT = {"purpose": "pay", "asset": "native", "each": "1", "day": "1", "four_eyes_above": "1"}
CALL = {"chain": 1, "to": C, "purposes": ["pay"]}


@pytest.mark.parametrize(
    ("section", "secret"),
    [
        ({"signers": []}, ""),
        ({"signers": [SIGNER | {"gas_wei_a_day": "2"}]}, ""),
        ({"signers": [SIGNER | {"chains": [2]}]}, ""),
        ({"transactions": {"limits": [LIMIT | {"day": "2"}], "calls": [CALL]}}, ""),
        ({"transactions": {"limits": [LIMIT], "calls": [CALL | {"approval": True}]}}, ""),
        ({}, "hot-keystore"),
        ({}, "hot-passphrase"),
    ],
)
def test_whatever_bounds_the_sender_or_opens_its_keys_starts_it_anew_alone(
    section: dict[str, object], secret: str
) -> None:
    raw = RAW | {"signers": [SIGNER], "transactions": {"limits": [LIMIT], "calls": [CALL]}}
    old, new = Config.model_validate(raw), Config.model_validate(raw | section)
    found = plan_reload(old, new, [secret] if secret else [])
    assert [step for step in told(found) if step[0] == "restart"] == [("restart", "transactions")]
    assert not found.refused


def test_every_key_of_the_configuration_is_covered() -> None:
    covered = {"daemon", "database", "http", "logging", "secrets", "chains", "oracle", "risk", "alerting", "retention"}
    assert set(Config.model_fields) == covered | {"messages", "signers", "transactions"}
