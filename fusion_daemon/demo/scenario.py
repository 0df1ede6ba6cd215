"""The play: accounts deposit here, lock for credit there and borrow; the price falls, the daemon is killed, the calls
arrive; all is repaid and released."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from fusion_daemon.demo.accounts import Player
from fusion_daemon.demo.ledger import count, price_commits, read
from fusion_daemon.demo.stage import Stage
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.price import USD_SCALE

FALL = (1_900, 1_750, 1_600)
"""ETH in USD while the daemon runs; after the last one it is killed."""
BEHIND_ITS_BACK = 1_430
"""Set while the daemon is down."""
AFTERMATH = (1_350, 1_700, 2_100)
_PATIENCE = 30.0
_LOOK = 0.02

Say = Callable[[str], None]


class ScenarioFailed(Failure):
    """Something that the play waits for did not come."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it; the JSON of `demo --once --json`."""

    chains: int
    blocks: int
    events: int
    accounts: int
    margin_events: int
    alerts: int
    deliveries: int
    arrivals: int
    """Requests that the receiver got, repeats under the same id included."""
    duplicates: int
    """Arrivals beyond the first of each id: the receiver knows them by the id."""
    unsigned: int
    """Arrivals whose signature did not verify."""
    missing: int
    """Deliveries that never arrived."""
    messages: dict[str, int]
    """By bridge: between the chains, applied where they went and final."""
    locked: int
    """Collateral that is still locked at the end, in base units over all chains."""
    tick_to_webhook_ms: tuple[float, ...]
    """From a price's commit to the arrival of each margin call it caused while the daemon ran."""


def play(stage: Stage, players: Sequence[Player], say: Say) -> Outcome:
    """The whole play. Raises ScenarioFailed, DaemonFailed, NodeRefused."""
    say("The daemon starts, the registry learns who owns which address.")
    stage.daemon.start()
    stage.register(players)
    say(f"{len(players)} accounts deposit WETH on one chain.")
    stage.deposit(players)
    await_margin(stage, players, "collateral_usd")
    say("Each locks it for credit on the other: the grants travel over Axelar and over CCIP.")
    stage.lock(players)
    stage.carry()
    await_messages(stage, len(players))
    say("Each borrows USDC there.")
    stage.draw(players)
    await_margin(stage, players, "health_factor")
    for usd in FALL:
        say(f"ETH falls to {usd} USD.")
        move_price(stage, usd)
    say("The daemon is killed (SIGKILL).")
    stage.daemon.kill()
    gone_at = time.time()
    say(f"Behind its back ETH falls to {BEHIND_ITS_BACK} USD.")
    stage.set_price(BEHIND_ITS_BACK * USD_SCALE)
    say("The daemon starts again and catches up.")
    stage.daemon.start()
    await_price(stage, BEHIND_ITS_BACK)
    back_at = time.time()
    for usd in AFTERMATH:
        say(f"ETH moves to {usd} USD.")
        move_price(stage, usd)
    say("Everybody repays and gives the credit back; the collateral comes home.")
    stage.repay(players)
    stage.release(players)
    stage.carry()
    await_messages(stage, 2 * len(players))
    _await(stage, "every alert delivered", lambda: read(stage.dsn, count).settled)
    say("Every alert has been delivered.")
    return _outcome(stage, gone_at, back_at)


def move_price(stage: Stage, usd: int) -> None:
    stage.set_price(usd * USD_SCALE)
    await_price(stage, usd)


def await_price(stage: Stage, usd: int) -> None:
    """Until the daemon has published the price and its risk calculator has folded it."""
    player = stage.players[0]

    def folded() -> bool:
        prices = _rows(stage, "/v1/prices", "prices")
        wanted = [row for row in prices if row["asset"] == "ETH" and Decimal(str(row["usd"])) == usd]
        if not wanted:
            return False
        status, report = stage.daemon.get(f"/v1/accounts/{player.id}/margin")
        return status == 200 and _price_seq(report) >= int(str(wanted[0]["seq"]))

    _await(stage, f"ETH at {usd} USD folded", folded)


def await_margin(stage: Stage, players: Sequence[Player], figure: str) -> None:
    """Until that figure of every player's margin is there and not zero. They act in order on each chain, so the
    last ones speak for all."""
    last = {player.home: player.id for player in players}.values()
    _await(stage, f"{figure} of everybody", lambda: all(_figure(stage, account, figure) for account in last))


def await_messages(stage: Stage, count: int) -> None:
    """Until so many messages were applied where they went, and are final there."""
    _await(stage, f"{count} messages applied", lambda: len(_final_messages(stage)) >= count)


def _final_messages(stage: Stage) -> list[dict[str, object]]:
    return _rows(stage, "/v1/messages?state=executed_final&limit=200", "messages")


def _await(stage: Stage, what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if not stage.daemon.running:
            raise ScenarioFailed(f"The daemon ended before: {what}.", "The play stops.", "Read daemon.log.")
        if holds():
            return
        time.sleep(_LOOK)
    raise ScenarioFailed(f"Not within {_PATIENCE:.0f} s: {what}.", "The play stops.", "Read daemon.log.")


def _outcome(stage: Stage, gone_at: float, back_at: float) -> Outcome:
    counts = read(stage.dsn, count)
    arrivals = stage.receiver.arrivals()
    first: dict[str, float] = {}
    for arrival in arrivals:
        first.setdefault(arrival.webhook_id, arrival.at)
    commits = read(stage.dsn, price_commits)
    latencies = [
        (first[delivery] - at) * 1000
        for delivery, at in commits.items()
        if delivery in first and not (gone_at - 1 <= at <= back_at)
    ]
    return Outcome(
        chains=counts.chains,
        blocks=counts.blocks,
        events=counts.events,
        accounts=counts.accounts,
        margin_events=counts.margin_events,
        alerts=counts.alerts,
        deliveries=counts.deliveries,
        arrivals=len(arrivals),
        duplicates=len(arrivals) - len(first),
        unsigned=sum(not arrival.genuine for arrival in arrivals),
        missing=counts.deliveries - len(first),
        messages=dict(Counter(str(each["bridge"]) for each in _final_messages(stage))),
        locked=sum(link.locked() for link in stage.links),
        tick_to_webhook_ms=tuple(round(value, 1) for value in sorted(latencies)),
    )


def _rows(stage: Stage, path: str, key: str) -> list[dict[str, object]]:
    status, answer = stage.daemon.get(path)
    if status != 200 or not isinstance(answer, dict):
        return []
    rows = answer.get(key)
    return rows if isinstance(rows, list) else []


def _price_seq(report: object) -> int:
    inputs = report.get("inputs") if isinstance(report, dict) else None
    return int(inputs.get("price_seq", 0)) if isinstance(inputs, dict) else 0


def _figure(stage: Stage, account: str, name: str) -> Decimal | None:
    """None or zero while the daemon does not know it."""
    status, report = stage.daemon.get(f"/v1/accounts/{account}/margin")
    figures = report.get("figures") if status == 200 and isinstance(report, dict) else None
    value = figures.get(name) if isinstance(figures, dict) else None
    return None if value is None else Decimal(str(value))
