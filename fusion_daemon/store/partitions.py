"""Partitions as the catalogue has them, and how one is dropped. Functions run on the asyncio side, inside the
caller's transaction. Who makes them: see `migrations/0003_partitions.sql`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fusion_daemon.store.rows import Row
from fusion_daemon.store.store import Reader


@dataclass(frozen=True, slots=True)
class Partition:
    """Holds the numbers from `low` up to, but not with, `high`."""

    parent: str
    name: str
    chain: int | None
    """None: the table is not parted by chain."""
    low: int
    high: int


async def read_partitions(reader: Reader) -> list[Partition]:
    """Every partition, by table, chain and number."""
    rows = await reader.fetch("SELECT * FROM partitions ORDER BY parent, chain_id NULLS FIRST, low")
    return [partition_of(row) for row in rows]


def partition_of(row: Row) -> Partition:
    """From a row of the view `partitions`."""
    return Partition(
        row.text("parent"),
        row.text("name"),
        row.optional_integer("chain_id"),
        row.integer("low"),
        row.integer("high"),
    )


async def drop_partitions(writer: Reader, partitions: Sequence[Partition]) -> None:
    """In a read-write transaction: all of them or none.

    Raises LockNotAvailableError at once while anyone uses the tables: to queue for the lock would make
    every writer queue behind it, and a margin call is worth more than a megabyte.
    """
    parents = ", ".join(f'"{parent}"' for parent in sorted({each.parent for each in partitions}))
    await writer.fetch(f"LOCK TABLE {parents} IN ACCESS EXCLUSIVE MODE NOWAIT")
    for each in partitions:
        await writer.fetch(f'DROP TABLE "{each.name}"')
