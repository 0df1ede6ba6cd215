"""`fusion-daemon contracts verify`: from a configuration and deployment files to findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import trio

from fusion_daemon.aio import Aio, AioError, open_aio
from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.config import Config
from fusion_daemon.deployment.inspection import inspect
from fusion_daemon.deployment.manifest import load_deployment
from fusion_daemon.deployment.plan import Questions, questions
from fusion_daemon.deployment.verify import judge_watched
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.findings import Finding
from fusion_daemon.logs import Redactor
from fusion_daemon.secret_files import SecretFiles
from fusion_daemon.settings import chain_settings, own_contracts

DIRECTORY = "deployments"
"""Beside the configuration file: one file a chain, where no other is named."""

_LONGEST = 3_600.0
"""Seconds for one chain: the logs of years, in small ranges."""


def verify_contracts(config: Config, home: Path, files: Sequence[Path], redactor: Redactor) -> list[Finding]:
    """Blocks. Without `files` every chain of the configuration needs one in `home`. Raises SecretMissing; whatever
    else fails becomes a finding."""
    chosen = files or sorted((home / DIRECTORY).glob("*.json"))
    asked, found = _read(chosen)
    if not chosen:
        says = f"there is none in {home / DIRECTORY}; write one, or name it by --deployments"
        found.append(Finding("deployment files", True, says))
    secret = SecretFiles.of(config)
    chains = {ChainId(each.id): chain_settings(each, secret) for each in config.chains}
    found += trio.run(_inspect_all, chains, asked)
    for each in config.chains:
        chain = ChainId(each.id)
        if chain in asked or not files:
            deployed = asked[chain].contracts if chain in asked else None
            found += judge_watched(f"chain {chain} ({each.name})", own_contracts(each), deployed)
    return [replace(each, says=redactor.text(each.says)) for each in found]


def _read(files: Sequence[Path]) -> tuple[dict[ChainId, Questions], list[Finding]]:
    asked: dict[ChainId, Questions] = {}
    found: list[Finding] = []
    for path in files:
        try:
            file = load_deployment(path)
            each = questions(file, load_artifact)
        except Failure as failure:
            found.append(Finding(str(path), True, str(failure)))
            continue
        if ChainId(file.chain_id) in asked:
            says = f"describes chain {file.chain_id}, as another file does; keep one file a chain"
            found.append(Finding(str(path), True, says))
        else:
            asked[ChainId(file.chain_id)] = each
    return asked, found


async def _inspect_all(chains: dict[ChainId, ChainSettings], asked: dict[ChainId, Questions]) -> list[Finding]:
    found: list[Finding] = []
    async with open_aio() as aio:
        for chain, each in asked.items():
            if chain in chains:
                found += await _inspect(aio, chains[chain], each)
            else:
                says = "the configuration has no such chain; add it under [[chains]]"
                found.append(Finding(f"chain {chain} ({each.file.name})", True, says))
    return found


async def _inspect(aio: Aio, settings: ChainSettings, asked: Questions) -> list[Finding]:
    try:
        return await aio.call(inspect, settings, asked, timeout=_LONGEST)
    except AioError as error:
        return [Finding(f"chain {settings.chain} ({settings.name})", True, str(error))]
