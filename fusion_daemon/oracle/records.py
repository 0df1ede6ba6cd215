"""Published figures as rows: what the poller appends to `prices`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fusion_daemon.domain.price import PRICE_STREAM
from fusion_daemon.oracle.aggregation import Figure
from fusion_daemon.oracle.feed_book import Publication
from fusion_daemon.store.writes import Append, Commit, SqlValue

COLUMNS = (
    "asset",
    "usd",
    "usd_low",
    "usd_high",
    "status",
    "observed_at",
    "published_at",
    "reason",
    "sources",
)


class UsedSource(msgspec.Struct, frozen=True):
    """A reading that the figure rests on. Integers that exceed 2^53 travel as decimal strings."""

    source: str
    usd: str
    observed_at: int
    received_at: float
    round_id: str | None
    payload_sha256: str


class RejectedSource(msgspec.Struct, frozen=True):
    source: str
    reason: str


class Provenance(msgspec.Struct, frozen=True):
    used: tuple[UsedSource, ...]
    rejected: tuple[RejectedSource, ...]


def provenance(figure: Figure) -> Provenance:
    return Provenance(
        tuple(
            UsedSource(
                each.source,
                str(each.usd),
                each.observed_at,
                each.received_at,
                None if each.round_id is None else str(each.round_id),
                each.digest,
            )
            for each in figure.used
        ),
        tuple(RejectedSource(each.source, each.reason) for each in figure.rejected),
    )


def append_prices(publications: Sequence[Publication], epoch: int, head: int) -> Commit:
    """The commit that numbers and stores the publications of one batch after `head`."""
    rows: list[tuple[SqlValue, ...]] = [
        (
            each.price.asset,
            each.price.usd,
            each.price.usd_low,
            each.price.usd_high,
            each.price.status.value,
            each.price.observed_at,
            each.price.published_at,
            each.reason.value,
            msgspec.json.encode(provenance(each.figure)).decode(),
        )
        for each in publications
    ]
    return Commit(appends=(Append(PRICE_STREAM, epoch, head, "prices", COLUMNS, rows),))
