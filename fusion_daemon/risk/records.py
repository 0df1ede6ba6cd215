"""Margin events and standings as rows: what the calculator writes and what is read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fusion_daemon.domain.identifiers import AccountId, ChainId
from fusion_daemon.domain.margin import (
    Cause,
    ChainInput,
    MarginEvent,
    MarginFigures,
    MarginInputs,
    MarginKind,
    MarginState,
)
from fusion_daemon.risk.episodes import Place, Standing
from fusion_daemon.store.writes import Execute, SqlValue

MARGIN_COLUMNS = (
    "account",
    "episode",
    "step",
    "kind",
    "before",
    "after",
    "cause",
    "confirmed",
    "past",
    "figures",
    "health_low",
    "health_high",
    "inputs",
    "at",
)

SAVE_STANDINGS = """
INSERT INTO margin_states (account, state, episode, step, causes, withdrawn)
SELECT account, state, episode, step, causes::jsonb, withdrawn::jsonb
FROM unnest($1::text[], $2::smallint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
    AS moved (account, state, episode, step, causes, withdrawn)
ON CONFLICT (account) DO UPDATE SET
    state = excluded.state, episode = excluded.episode, step = excluded.step,
    causes = excluded.causes, withdrawn = excluded.withdrawn
"""

SAVE_CONFIGURATION = """
INSERT INTO risk_configuration (fingerprint) VALUES ($1)
ON CONFLICT (only_row) DO UPDATE SET fingerprint = excluded.fingerprint
"""


_Places = list[tuple[int, int]]


class _Figures(msgspec.Struct, frozen=True):
    collateral_usd: str
    debt_usd: str
    threshold_usd: str
    health_factor: str | None
    score_bps: str | None
    cure_repay_usd: str
    cure_deposit_usd: str


class _Chain(msgspec.Struct, frozen=True):
    chain: int
    seq: int
    block: int


class _Inputs(msgspec.Struct, frozen=True):
    price_seq: int
    chains: tuple[_Chain, ...]
    configuration: str
    as_of: int
    unpriced: tuple[str, ...]


class MarginRow(msgspec.Struct, frozen=True):
    """A row of margin_events, parsed at the edge but for its two JSON columns."""

    account: str
    episode: int
    step: int
    kind: str
    before: int
    after: int
    cause: str
    confirmed: bool
    past: bool
    figures: bytes
    health_low: int | None
    health_high: int | None
    inputs: bytes


def row_of(event: MarginEvent) -> tuple[SqlValue, ...]:
    """The values of MARGIN_COLUMNS."""
    return (
        event.account,
        event.episode,
        event.step,
        event.kind.value,
        int(event.before),
        int(event.after),
        event.cause.value,
        event.confirmed,
        event.past,
        msgspec.json.encode(figures_json(event.figures)).decode(),
        event.health_low,
        event.health_high,
        msgspec.json.encode(inputs_json(event.inputs)).decode(),
        event.inputs.as_of,
    )


def event_of(row: MarginRow) -> MarginEvent:
    figures = msgspec.json.decode(row.figures, type=_Figures)
    inputs = msgspec.json.decode(row.inputs, type=_Inputs)
    return MarginEvent(
        account=AccountId(row.account),
        episode=row.episode,
        step=row.step,
        kind=MarginKind(row.kind),
        before=MarginState(row.before),
        after=MarginState(row.after),
        cause=Cause(row.cause),
        confirmed=row.confirmed,
        past=row.past,
        figures=MarginFigures(
            collateral_usd=int(figures.collateral_usd),
            debt_usd=int(figures.debt_usd),
            threshold_usd=int(figures.threshold_usd),
            health_factor=None if figures.health_factor is None else int(figures.health_factor),
            score_bps=None if figures.score_bps is None else int(figures.score_bps),
            cure_repay_usd=int(figures.cure_repay_usd),
            cure_deposit_usd=int(figures.cure_deposit_usd),
        ),
        health_low=row.health_low,
        health_high=row.health_high,
        inputs=MarginInputs(
            price_seq=inputs.price_seq,
            chains=tuple(ChainInput(ChainId(each.chain), each.seq, each.block) for each in inputs.chains),
            configuration=inputs.configuration,
            as_of=inputs.as_of,
            unpriced=inputs.unpriced,
        ),
    )


def figures_json(figures: MarginFigures) -> dict[str, str | None]:
    """Integers as decimal strings: a health factor does not fit the numbers of most JSON readers."""
    return {
        "collateral_usd": str(figures.collateral_usd),
        "debt_usd": str(figures.debt_usd),
        "threshold_usd": str(figures.threshold_usd),
        "health_factor": _text(figures.health_factor),
        "score_bps": _text(figures.score_bps),
        "cure_repay_usd": str(figures.cure_repay_usd),
        "cure_deposit_usd": str(figures.cure_deposit_usd),
    }


def inputs_json(inputs: MarginInputs) -> dict[str, object]:
    return {
        "price_seq": inputs.price_seq,
        "chains": [{"chain": each.chain, "seq": each.seq, "block": each.block} for each in inputs.chains],
        "configuration": inputs.configuration,
        "as_of": inputs.as_of,
        "unpriced": list(inputs.unpriced),
    }


def save_standings(accounts: Iterable[AccountId], standings: Mapping[AccountId, Standing]) -> Execute:
    """The standing of each of these accounts, named once."""
    accounts = list(accounts)
    chosen: Sequence[Standing] = [standings[account] for account in accounts]
    return Execute(
        SAVE_STANDINGS,
        (
            accounts,
            [int(each.state) for each in chosen],
            [each.episode for each in chosen],
            [each.step for each in chosen],
            [_places_json(each.causes) for each in chosen],
            [_places_json(each.withdrawn) for each in chosen],
        ),
    )


def _places_json(places: Iterable[Place]) -> str:
    return msgspec.json.encode([(place.chain, place.block) for place in places]).decode()


def places_of(column: bytes) -> tuple[Place, ...]:
    """A column of margin_states that lists places."""
    return tuple(Place(ChainId(chain), block) for chain, block in msgspec.json.decode(column, type=_Places))


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
