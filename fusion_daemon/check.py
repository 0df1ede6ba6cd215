"""`fusion-daemon check`: try everything that the configuration names, change nothing, say what is wrong."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import trio

from fusion_daemon.aio import Aio, AioError, open_aio
from fusion_daemon.alerting.signature import parse_secrets
from fusion_daemon.chain.rpc import verify_endpoints
from fusion_daemon.chain.rpc_errors import endpoint_name
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.config import Chain, Config, Principal, Receiver
from fusion_daemon.config_transactions import Signer
from fusion_daemon.database import external_dsn
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.domain.transaction import NATIVE_ASSET
from fusion_daemon.feeds import ChainCalls
from fusion_daemon.findings import Finding
from fusion_daemon.logs import Redactor
from fusion_daemon.oracle.calls import check_feeds
from fusion_daemon.secret_files import SecretFiles, secret_names
from fusion_daemon.settings import (
    alerting_settings,
    chain_settings,
    oracle_settings,
    principal_settings,
    risk_settings,
    signer_settings,
)
from fusion_daemon.store.binaries import find_binaries
from fusion_daemon.store.migrate import schema_state
from fusion_daemon.transactions.keystore import open_key

_TIMEOUT = 15.0


def check_everything(config: Config, redactor: Redactor) -> list[Finding]:
    """Blocks; opens connections and closes them again. Never raises a Failure: it becomes a finding.

    What others answered is quoted in findings, so all of them pass the redactor.
    """
    return [replace(each, says=redactor.text(each.says)) for each in told_once(_look(config))]


def told_once(findings: Sequence[Finding]) -> list[Finding]:
    """What fails for want of a secret only names the finding that says so: the cure is one."""
    first: dict[str, str] = {}
    for each in findings:
        if each.failed and each.subject.startswith("secret "):
            first.setdefault(each.says, each.subject)
    return [
        replace(each, says=f"see {first[each.says]}") if first.get(each.says, each.subject) != each.subject else each
        for each in findings
    ]


def _look(config: Config) -> list[Finding]:
    secret = SecretFiles.of(config)
    findings = [_try(f"secret {name}", partial(_secret, secret, name)) for name in secret_names(config)]
    findings += [_try(f"principal {each.name}", partial(_principal, each, secret)) for each in config.http.principals]
    findings.append(_try("risk limits", lambda: _quiet(risk_settings(config))))
    findings.append(_try("alerting", lambda: _quiet(alerting_settings(config))))
    findings.append(_try("state directory", lambda: _directory(config.daemon.state_directory)))
    for receiver in config.alerting.receivers:
        findings.append(_try(f"receiver {receiver.name}", partial(_reach, receiver)))
        if receiver.secret is not None:
            findings.append(_try(f"signing key of {receiver.name}", partial(_signing_key, receiver.secret, secret)))
    findings += [_try(f"key of signer {each.name}", partial(_signer_key, each, secret)) for each in config.signers]
    if config.transactions.limits:
        findings.append(_try("transaction limits", lambda: useful_limits(config)))
    if config.alerting.smtp is not None:
        host, port = config.alerting.smtp.host, config.alerting.smtp.port
        findings.append(_try("mail server", partial(_connect, host, port)))
    return findings + trio.run(_check_connections, config, secret)


async def _check_connections(config: Config, secret: SecretFiles) -> list[Finding]:
    async with open_aio() as aio:
        findings = [await _database(aio, config, secret)]
        reachable: dict[ChainId, ChainSettings] = {}
        for chain in config.chains:
            findings += await _chain(aio, chain, secret, reachable)
        findings += await _feeds(aio, config, reachable)
    return findings


async def _database(aio: Aio, config: Config, secret: SecretFiles) -> Finding:
    subject = "database"
    try:
        dsn = external_dsn(config, secret)
        if dsn is None:
            return Finding(subject, False, f"embedded Postgres {find_binaries().version}")
        state = await aio.call(schema_state, dsn, timeout=_TIMEOUT)
    except (Failure, AioError) as failure:
        return Finding(subject, True, str(failure))
    if state.pending:
        names = ", ".join(each.name for each in state.pending)
        return Finding(subject, False, f"reached; `run` or `migrate` will apply {names}")
    return Finding(subject, False, "reached; the schema is up to date")


async def _chain(aio: Aio, chain: Chain, secret: SecretFiles, reachable: dict[ChainId, ChainSettings]) -> list[Finding]:
    subject = f"chain {chain.id} ({chain.name})"
    try:
        settings = chain_settings(chain, secret)
        answers = await aio.call(verify_endpoints, settings, timeout=2 * chain.request_timeout_seconds)
    except (Failure, AioError) as failure:
        return [Finding(subject, True, str(failure))]
    if None in answers:
        reachable[settings.chain] = settings
    return [
        Finding(
            f"{subject} at {endpoint_name(url)}",
            answer is not None,
            "answers with that chain id" if answer is None else str(answer),
        )
        for url, answer in zip(settings.rpc_urls, answers, strict=True)
    ]


async def _feeds(aio: Aio, config: Config, reachable: dict[ChainId, ChainSettings]) -> list[Finding]:
    findings = []
    async with ChainCalls(aio, reachable.values()) as call_many:
        for chain, sources in oracle_settings(config).on_chains().items():
            subject = f"feeds on chain {chain}"
            if chain not in reachable:
                says = "not looked at: the chain has no endpoint that answers; mend that first"
                findings.append(Finding(subject, True, says))
                continue
            try:
                wrong: Sequence[Exception] = await check_feeds(call_many, chain, sources)
            except (Failure, AioError) as failure:
                wrong = [failure]
            findings += [Finding(subject, True, str(each)) for each in wrong]
            if not wrong:
                findings.append(Finding(subject, False, f"all {len(sources)} are as configured"))
    return findings


def _try(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, False, look())
    except (Failure, OSError, ValueError) as error:
        return Finding(subject, True, str(error))


def _quiet(_value: object) -> str:
    return "ok"


def _principal(principal: Principal, secret: SecretFiles) -> str:
    return principal_settings(principal, secret).role.name.lower()


def _secret(secret: SecretFiles, name: str) -> str:
    secret(name)
    path = secret.path(name)
    if path.stat().st_mode & (stat.S_IWGRP | stat.S_IRWXO):  # a credential of systemd may be its group's to read
        raise ValueError(f"{path} is open to other users; chmod 600 {path}")
    return "readable"


def _signing_key(name: str, secret: SecretFiles) -> str:
    parse_secrets(secret(name))
    return "well-formed"


def _signer_key(signer: Signer, secret: SecretFiles) -> str:
    """Takes a second or two for a keystore: that is what it is for."""
    open_key(signer_settings(signer), secret)
    return "opens, and belongs to its address"


def useful_limits(config: Config) -> str:
    """A limit that is about nothing is a slip of the pen: what it was meant for is refused for want of one."""
    purposes = {purpose for call in config.transactions.calls for purpose in call.purposes}
    assets = {NATIVE_ASSET} | {token.asset for chain in config.chains for token in chain.tokens}
    for limit in config.transactions.limits:
        if limit.purpose not in purposes:
            raise ValueError(f"no [[transactions.calls]] is for {limit.purpose}, which a limit names; correct either")
        if limit.asset not in assets:
            raise ValueError(
                f"the limit for {limit.purpose} names {limit.asset}, which is neither native nor the asset of a token "
                "of [[chains.tokens]]; correct either"
            )
    return "each is for a call and an asset that are there"


def _directory(path: Path) -> str:
    path = path.absolute()
    try:
        nearest = next(each for each in (path, *path.parents) if each.exists())
    except PermissionError as error:
        raise ValueError(f"{path} is closed to this user; check as the daemon's, or as root") from error
    if not nearest.is_dir():
        raise ValueError(f"{nearest} is not a directory; choose another state_directory")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"{nearest} is not writable for this user; give it to the daemon's, or choose another")
    return "exists" if nearest == path else f"will be made in {nearest}"


def _reach(receiver: Receiver) -> str:
    if receiver.channel == "email":
        return "is reached through the mail server; see there"
    url = urlsplit(receiver.target)
    if url.hostname is None:
        raise ValueError(f"{receiver.name}: the target has no host; write a whole URL")
    return _connect(url.hostname, url.port or (443 if url.scheme == "https" else 80))


def _connect(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=5.0).close()
    except OSError as error:
        raise ValueError(f"{host}:{port} cannot be reached ({error}); check name, port and firewall") from error
    return "reached"
