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
from fusion_daemon.deployment.manifest import DeploymentInvalid, load_deployment
from fusion_daemon.deployment.plan import Questions, questions
from fusion_daemon.deployment.verify import judge_watched
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.findings import Finding
from fusion_daemon.logs import Redactor
from fusion_daemon.secret_files import SecretFiles
from fusion_daemon.settings import chain_settings

DIRECTORY = "deployments"
"""Beside the configuration file: one file a chain, where no other is named."""

_LONGEST = 3_600.0
"""Seconds for one chain: the logs of years, in small ranges."""


def verify_contracts(config: Config, home: Path, files: Sequence[Path], redactor: Redactor) -> list[Finding]:
    """Blocks. Without `files` every chain of the configuration needs one in `home`. Raises DeploymentInvalid,
    ArtifactMissing, SecretMissing."""
    chosen = files or sorted((home / DIRECTORY).glob("*.json"))
    asked = _read(chosen)
    secret = SecretFiles.of(config)
    chains = {ChainId(each.id): chain_settings(each, secret) for each in config.chains}
    found = trio.run(_inspect_all, chains, asked)
    for chain, settings in chains.items():
        if chain in asked or not files:
            deployed = asked[chain].contracts if chain in asked else None
            found += judge_watched(f"chain {chain} ({settings.name})", settings.contracts, deployed)
    return [replace(each, says=redactor.text(each.says)) for each in found]


def _read(files: Sequence[Path]) -> dict[ChainId, Questions]:
    asked: dict[ChainId, Questions] = {}
    for path in files:
        file = load_deployment(path)
        if ChainId(file.chain_id) in asked:
            raise DeploymentInvalid(
                f"{path} describes chain {file.chain_id}, as another file does.",
                "Which of them is right is not known, so nothing was looked at.",
                "Keep one file a chain.",
            )
        asked[ChainId(file.chain_id)] = questions(file, load_artifact)
    return asked


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
