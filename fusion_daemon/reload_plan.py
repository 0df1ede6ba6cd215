"""What a changed configuration asks of the living process. Pure: it compares, it does not act.

INVARIANTS
* Equal configurations with equal secrets make an empty plan.
* Every key that differs is covered by a step or named as refused: nothing changes silently or is lost.
* Steps are in the order in which they are to be taken: what is updated in place, chains that come, branches
  that start anew (consumers before producers, as at boot), chains that go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from fusion_daemon.config import Chain, Config
from fusion_daemon.config_bridges import Bridges, RemoteCredit
from fusion_daemon.config_section import Section
from fusion_daemon.secret_files import secret_names


class Action(StrEnum):
    UPDATE = "update"
    """In place: nothing stops."""
    ADD = "add"
    RESTART = "restart"
    """The branch stops in order and starts with the new settings, from its cursors."""
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Step:
    action: Action
    target: str
    """A branch of the supervision tree, or the part that is updated in place."""
    because: tuple[str, ...]
    """The keys that differ, such as `chains[1].rpc_urls`, or `secret desk-webhook-key`."""


@dataclass(frozen=True, slots=True)
class ReloadPlan:
    steps: tuple[Step, ...]
    refused: tuple[str, ...]
    """Keys that differ and that only a restart of the daemon can change."""
    warnings: tuple[str, ...]


def undoing(step: Step) -> Step:
    """The step that takes it back, with the old configuration."""
    back = {Action.ADD: Action.REMOVE, Action.REMOVE: Action.ADD}
    return replace(step, action=back.get(step.action, step.action))


LOGGING, PRINCIPALS, SECRETS, RETENTION = "logging", "principals", "secrets", "retention"
EXPLORERS = "explorers"
ALERTING, RISK, MESSAGES, ORACLE, TRANSACTIONS = "alerting", "risk", "messages", "oracle", "transactions"


def chain_branch(chain: int) -> str:
    return f"chain:{chain}"


def plan_reload(old: Config, new: Config, changed_secrets: Collection[str]) -> ReloadPlan:
    """`changed_secrets`: names whose text differs from when it was last read, or that are new."""
    before, after = ({chain.id: chain for chain in config.chains} for config in (old, new))
    gone, come = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    chains = {id_: _chain_reasons(before[id_], after[id_], changed_secrets) for id_ in sorted(before.keys() & after)}
    tokens = [f"chains[{id_}].tokens" for id_ in chains if before[id_].tokens != after[id_].tokens]
    moved = [f"chains[{id_}]" for id_ in (*come, *gone)]
    judged = ["oracle.assets"] if _judged(old) != _judged(new) else []
    priced = ["oracle.assets"] if _priced(old) != _priced(new) else []
    kept = [*_differing("retention", old.retention, new.retention), *priced]
    bridged = {id_ for each in (before, after) for id_, chain in each.items() if chain.bridges is not None}
    carried = [f"chains[{id_}].bridges" for id_ in sorted(bridged) if _bridges(before, id_) != _bridges(after, id_)]
    locks = [
        f"chains[{id_}].bridges.remote_credit"
        for id_ in sorted(bridged & chains.keys())
        if _lock(before, id_) != _lock(after, id_)
    ]
    asked = [each for id_ in sorted(bridged & chains.keys()) for each in chains[id_] if _concerns_calls(each)]
    endpoints = [reason for reasons in chains.values() for reason in reasons if _concerns_calls(reason)]
    told = ["alerting.receivers"] if old.alerting.receivers != new.alerting.receivers else []
    explorers = _differing("messages.explorers", old.messages.explorers, new.messages.explorers)
    alerting = _differing("alerting", old.alerting, new.alerting)
    steps = (
        *_step(Action.UPDATE, LOGGING, _differing("logging", old.logging, new.logging)),
        *_step(Action.UPDATE, PRINCIPALS, _principal_reasons(old, new, changed_secrets)),
        *_step(Action.UPDATE, SECRETS, _secret_reasons(new, changed_secrets)),
        *_step(Action.UPDATE, RETENTION, kept),
        *_step(Action.UPDATE, EXPLORERS, explorers),
        *(Step(Action.ADD, chain_branch(id_), (f"chains[{id_}]",)) for id_ in come),
        *_step(Action.RESTART, ALERTING, alerting),
        *_step(
            Action.RESTART, RISK, [*_differing("risk", old.risk, new.risk), *judged, *tokens, *locks, *moved, *alerting]
        ),
        *_step(
            Action.RESTART,
            MESSAGES,
            [*_differing("messages", old.messages, new.messages, but=("explorers",)), *carried, *asked, *told],
        ),
        *(step for id_, reasons in chains.items() for step in _step(Action.RESTART, chain_branch(id_), reasons)),
        *_step(Action.RESTART, ORACLE, [*_differing("oracle", old.oracle, new.oracle), *moved, *endpoints]),
        *_step(Action.RESTART, TRANSACTIONS, [*_sender_reasons(old, new, changed_secrets), *moved, *endpoints]),
        *(Step(Action.REMOVE, chain_branch(id_), (f"chains[{id_}]",)) for id_ in gone),
    )
    return ReloadPlan(steps, tuple(_refused(old, new)), (*map(_warning, gone), *_late(new, changed_secrets)))


def _step(action: Action, target: str, because: Collection[str]) -> Iterator[Step]:
    if because:
        yield Step(action, target, tuple(because))


def _differing(name: str, old: Section, new: Section, but: Collection[str] = ()) -> list[str]:
    keys = [key for key in type(new).model_fields if key not in but]
    return [f"{name}.{key}" for key in keys if getattr(old, key) != getattr(new, key)]


def _chain_reasons(old: Chain, new: Chain, changed_secrets: Collection[str]) -> list[str]:
    """Tokens are the risk room's: the listener does not know them."""
    name = f"chains[{new.id}]"
    found = _differing(name, old, new, but=("tokens",))
    used = set(secret_names(Config(chains=(new.model_copy(update={"tokens": ()}),))))
    changed = used & set(changed_secrets)
    keyed = {"rpc_urls": new.rpc_urls, "ws_urls": new.ws_urls}
    return found + [
        f"{name}.{key} (secret {secret})"
        for secret in sorted(changed)
        for key, urls in keyed.items()
        if any(f"{{{secret}}}" in url for url in urls)
    ]


def _bridges(chains: Mapping[int, Chain], id_: int) -> Bridges | None:
    return chains[id_].bridges if id_ in chains else None


def _lock(chains: Mapping[int, Chain], id_: int) -> RemoteCredit | None:
    bridges = _bridges(chains, id_)
    return None if bridges is None else bridges.remote_credit


def _concerns_calls(reason: str) -> bool:
    """Whether the oracle, which calls feeds through the same endpoints, is concerned as well."""
    return any(key in reason for key in (".rpc_urls", ".request_timeout_seconds", ".calls_per_second"))


def _principal_reasons(old: Config, new: Config, changed_secrets: Collection[str]) -> list[str]:
    found = ["http.principals"] if old.http.principals != new.http.principals else []
    tokens = [each.token for each in new.http.principals if each.token in changed_secrets]
    return found + [f"secret {token}" for token in tokens]


def _sender_reasons(old: Config, new: Config, changed_secrets: Collection[str]) -> list[str]:
    """A key is opened once, and kept: another one needs another life."""
    found = ["signers"] if old.signers != new.signers else []
    found += _differing("transactions", old.transactions, new.transactions)
    named = [name for each in new.signers for name in (each.key, each.keystore, each.passphrase)]
    return found + [f"secret {name}" for name in named if name in changed_secrets]


def _secret_reasons(new: Config, changed_secrets: Collection[str]) -> list[str]:
    """Signing keys and the mail password are read at every attempt; what masks logs has to learn them all."""
    return [f"secret {name}" for name in secret_names(new) if name in changed_secrets]


def _refused(old: Config, new: Config) -> Iterator[str]:
    yield from _differing("daemon", old.daemon, new.daemon)
    yield from _differing("database", old.database, new.database)
    yield from _differing("http", old.http, new.http, but=("principals",))
    yield from _differing("secrets", old.secrets, new.secrets)


def _priced(config: Config) -> set[str]:
    """Retention keeps the last price of each."""
    return {asset.asset for asset in config.oracle.assets}


def _judged(config: Config) -> dict[str, float]:
    """For how long a price stands is the risk room's to know."""
    return {asset.asset: asset.heartbeat_seconds for asset in config.oracle.assets}


def _late(new: Config, changed_secrets: Collection[str]) -> Iterator[str]:
    if new.database.password in changed_secrets:
        yield f"secret {new.database.password}: connections to the database log in with the old one until a restart"


def _warning(chain: int) -> str:
    return f"chain {chain} goes: what accounts hold and owe there no longer counts in their margin"
