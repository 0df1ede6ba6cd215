"""Rule: kill the daemon at any moment, while it reads a chain's history or follows its head: the next life goes on from
what is stored, no event is missing, none is there twice.

    history ───✝────✝──✝──────✝─── head ──✝──✝──── quiet ── tables == node
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.domain.identifiers import ChainId, hex_of
from fusion_daemon.store import Store
from tests.faults.chain_course import Side, open_side
from tests.faults.rpc_faults import RpcFaults
from tests.faults.test_chain_truth import check_truth
from tests.integration.chain.listening import Listening
from tests.integration.cli.processes import started

SOAK = os.environ.get("FUSION_PRIME_SOAK") == "1"
SEED = 20_261_124
CHAIN = ChainId(31_337)
HISTORIES = 10 if SOAK else 1
"""Each a chain of its own number of workers, read from its first block."""
BLOCKS = 1_500
SPAN = 25
"""Blocks that the provider gives at once, so that a history takes many commits."""
KILLS_IN_HISTORY = 7
KILLS_AT_HEAD = 3
PATIENCE = 60.0
_LOOK_SECONDS = 0.005


@pytest.fixture(scope="module")
def side() -> Iterator[Side]:
    with open_side(CHAIN) as opened:
        yield opened


@pytest.fixture
def listening(aio: Aio, store: Store) -> Listening:
    return Listening(aio, store)


@pytest.mark.parametrize("history", range(HISTORIES))
async def test_whenever_it_is_killed_nothing_is_missing_and_nothing_is_there_twice(
    listening: Listening, side: Side, postgres_dsn: str, tmp_path: Path, history: int
) -> None:
    chance = random.Random(SEED + history)
    side.reset()
    side.mine([chance.choice((0, 0, 1, 2, 5)) for _ in range(BLOCKS)])
    side.proxy.faults = RpcFaults(latency=0.03, rule="blast_plan", most_blocks=SPAN)
    config = _config(tmp_path, side, postgres_dsn, workers=chance.choice((1, 4, 8)))
    for kill in range(KILLS_IN_HISTORY):
        with started("run", "--config", config, log=tmp_path / "log"):
            await _stored_up_to(listening, int(BLOCKS / 10 * (kill + chance.random())))
            await trio.sleep(chance.uniform(0.0, 0.05))  # the moment is the test's own: anywhere in what follows
        assert await _tip(listening) < BLOCKS, "killed in the midst of it"
    for _ in range(KILLS_AT_HEAD):
        with started("run", "--config", config, log=tmp_path / "log"):
            await _stored_up_to(listening, side.height())
            side.mine([chance.choice((0, 1, 5)) for _ in range(chance.randrange(1, 4))])
            await trio.sleep(chance.uniform(0.0, 0.1))
    with started("run", "--config", config, log=tmp_path / "log"):
        await _stored_up_to(listening, side.height())
    await check_truth(listening, side)


async def _stored_up_to(listening: Listening, block: int) -> None:
    with trio.fail_after(PATIENCE):
        while await _tip(listening) < block:  # noqa: ASYNC110 - another process moves it
            await trio.sleep(_LOOK_SECONDS)


async def _tip(listening: Listening) -> int:
    rows = await listening.rows(f"SELECT tip_number FROM chain_state WHERE chain_id = {CHAIN}")
    tip = rows[0].optional_integer("tip_number") if rows else None
    return -1 if tip is None else tip


def _config(directory: Path, side: Side, dsn: str, workers: int) -> Path:
    (directory / "state").mkdir(mode=0o711)
    path, vaults = directory / "config.toml", [hex_of(each) for each in side.emitters]
    path.write_text(
        f'[daemon]\nstate_directory = "{directory / "state"}"\n[database]\ndsn = "{dsn}"\n'
        f"[http]\nport = 0\nmetrics_port = 0\n"
        f'[[chains]]\nid = {CHAIN}\nname = "local"\nrpc_urls = ["{side.proxy.url}"]\nstart_block = 0\n'
        f'vaults = {vaults}\npoll_min_seconds = 0.05\npoll_max_seconds = 0.2\nworkers = {workers}\n'
    )
    return path
