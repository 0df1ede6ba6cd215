"""After the play: everything stays up for whoever wants to look around, and moves a little."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from fusion_daemon.demo.configuration import TOKEN_SECRET
from fusion_daemon.demo.scenario import AFTERMATH, Say
from fusion_daemon.demo.stage import Stage
from fusion_daemon.domain.price import USD_SCALE

PACE = 2.0
"""Seconds between two moves. Each is a block on both chains, so that their tips do not age."""
_HOME: int = AFTERMATH[-1] * USD_SCALE
_STRIDE = _HOME // 250
_PULL = 20
_CENT: int = USD_SCALE // 100


def linger(stage: Stage, say: Say, *, kept: bool) -> None:
    """Until Ctrl-C, or until the daemon ends by itself. Main thread; blocks. kept: the directory outlives the demo."""
    for line in _invitation(stage, kept=kept):
        say(line)
    price, random = _HOME, Random()  # noqa: S311 - a picture, not a secret
    try:
        while not stage.daemon.ends_within(PACE):
            price = next_price(price, random)
            stage.set_price(price)
    except KeyboardInterrupt:
        say("Stopping.")


def next_price(price: int, random: Random) -> int:
    """USD x 1e8, in whole cents: a step of at most 0.4 %, drawn back to where the play ended, so that it stays within
    8 % of that."""
    moved = price + random.randint(-_STRIDE, _STRIDE) - (price - _HOME) // _PULL
    return moved - moved % _CENT


def _invitation(stage: Stage, *, kept: bool) -> Iterator[str]:
    url, data = stage.daemon.url, stage.directory
    token = data / "secrets" / TOKEN_SECRET
    yield ""
    yield "Everything stays up, prices and blocks moving gently. Ctrl-C ends everything."
    yield f"  Admin API  {url}"
    yield f"  Metrics    {stage.metrics_url}"
    yield f"  Data       {data} ({'kept' if kept else 'deleted at the end'})"
    yield f"  Token      {token}"
    yield "Try:"
    yield f"  curl -sS '{url}/v1/alerts?limit=3'"
    yield f'  curl -sS -X POST -H "Authorization: Bearer $(cat {token})" {url}/v1/actors/oracle_poller/restart'
    yield f"  {Path(sys.executable).with_name('fusion-daemon')} status --config {stage.config}"
    yield ""
