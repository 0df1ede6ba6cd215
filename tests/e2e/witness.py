"""What the database says, read for comparison with what the nodes and the receiver say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from eth_utils.crypto import keccak

from fusion_daemon.demo.ledger import count, read
from fusion_daemon.demo.stage import CHAIN_IDS, Stage
from fusion_daemon.domain.identifiers import hex_of
from fusion_daemon.store import Reader
from tests.e2e.independent_fold import Book, Log, Tick, node_logs, read_book, rpc
from tests.looking import until

ABI: Sequence[Mapping[str, object]] = json.loads(
    (Path(__file__).parents[2] / "contracts/artifacts/CrossChainVault.json").read_text()
)["abi"]

LogRow = tuple[str, int, str, tuple[str, ...], str]
"""(block hash, log index, address, topics, data)."""


def await_caught_up(stage: Stage, patience: float = 60.0) -> None:
    """Until everything that the nodes and the feed say has been folded, and every alert has been delivered."""
    until(
        lambda: heads_stored(stage) and _feed_stored(stage) and _folded(stage) and read(stage.dsn, count).settled,
        f"caught up; see {stage.directory}/daemon.log",
        patience,
    )


def heads_stored(stage: Stage) -> bool:
    """The stored tips are the nodes' heads, hash for hash: a reorg may keep the height."""
    heads = [rpc(each.node.url, "eth_getBlockByNumber", "latest", False) for each in stage.deployments]

    async def tips(reader: Reader) -> list[str]:
        rows = await reader.fetch("SELECT tip_hash FROM chain_state ORDER BY chain_id")
        return [hex_of(row.optional_octets("tip_hash") or b"") for row in rows]

    return read(stage.dsn, tips) == [head["hash"] for head in heads if isinstance(head, dict)]


def _feed_stored(stage: Stage) -> bool:
    """The last ETH price committed is what the feed answers now: a price moved a moment ago may not be read yet."""
    first = stage.deployments[0]
    call = {"to": hex_of(first.weth_feed), "data": "0x" + keccak(text="latestAnswer()")[:4].hex()}
    answer = int(str(rpc(first.node.url, "eth_call", call, "latest")), 16)
    return [tick.usd for tick in committed_ticks(stage, 0) if tick.asset == "ETH"][-1:] == [answer]


def _folded(stage: Stage) -> bool:
    async def heads(reader: Reader) -> dict[str, int]:
        return {row.text("name"): row.integer("head") for row in await reader.fetch("SELECT name, head FROM streams")}

    status, report = stage.daemon.get(f"/v1/accounts/{stage.players[0].id}/margin")
    if status != 200 or not isinstance(report, dict):
        return False
    inputs = report["inputs"]
    found = read(stage.dsn, heads)
    journals = {f"journal:{each['chain']}": int(each["seq"]) for each in inputs["chains"]}
    return int(inputs["price_seq"]) >= found["prices"] and all(
        journals.get(stream, 0) >= head for stream, head in found.items() if stream.startswith("journal:")
    )


def stored_logs(stage: Stage) -> dict[int, set[LogRow]]:
    """The logs of canonical blocks, by chain."""

    async def query(reader: Reader) -> dict[int, set[LogRow]]:
        rows = await reader.fetch(
            "SELECT l.chain_id, l.block_hash, l.log_index, l.address, l.data,"
            " array_to_string(ARRAY(SELECT encode(t, 'hex') FROM unnest(l.topics) t), ',') AS topics"
            " FROM chain_logs l JOIN chain_blocks b ON b.chain_id = l.chain_id AND b.hash = l.block_hash"
            " WHERE b.canonical"
        )
        found: dict[int, set[LogRow]] = {chain: set() for chain in CHAIN_IDS}
        for row in rows:
            found[row.integer("chain_id")].add(
                (
                    hex_of(row.octets("block_hash")),
                    row.integer("log_index"),
                    hex_of(row.octets("address")),
                    tuple("0x" + topic for topic in row.text("topics").split(",")),
                    hex_of(row.octets("data")),
                )
            )
        return found

    return read(stage.dsn, query)


def chain_logs(stage: Stage) -> dict[int, set[LogRow]]:
    """The same, as the nodes tell it."""
    found: dict[int, set[LogRow]] = {}
    for link in stage.links:
        deployment = link.deployment
        logs = [
            log
            for address in link.read
            for log in node_logs(deployment.node.url, hex_of(address))
        ]
        found[deployment.chain_id] = {
            (
                str(log["blockHash"]),
                int(str(log["logIndex"]), 16),
                str(log["address"]),
                _topics(log),
                str(log["data"]),
            )
            for log in logs
        }
    return found


def _topics(log: Log) -> tuple[str, ...]:
    topics = log["topics"]
    assert isinstance(topics, list)
    return tuple(str(topic) for topic in topics)


def folded_journal(stage: Stage) -> dict[int, list[str]]:
    """Each chain as its journal folds: APPLY pushes a block, RETRACT pops that very block. Asserts both."""

    async def query(reader: Reader) -> list[tuple[int, str, str, int]]:
        rows = await reader.fetch("SELECT chain_id, op, block_hash, seq FROM chain_journal ORDER BY chain_id, seq")
        return [
            (row.integer("chain_id"), row.text("op"), hex_of(row.octets("block_hash")), row.integer("seq"))
            for row in rows
        ]

    chains: dict[int, list[str]] = {chain: [] for chain in CHAIN_IDS}
    expected = dict.fromkeys(CHAIN_IDS, 1)
    for chain, op, block, seq in read(stage.dsn, query):
        assert seq == expected[chain], "a journal is numbered without gaps"
        expected[chain] += 1
        if op == "apply":
            chains[chain].append(block)
        else:
            assert chains[chain].pop() == block, "a retract takes away the tip"
    return chains


def chain_blocks(stage: Stage) -> dict[int, list[str]]:
    """The block hashes of each chain, from block 0 to its head, as the nodes tell it."""
    found = {}
    for deployment in stage.deployments:
        head = int(str(rpc(deployment.node.url, "eth_blockNumber")), 16)
        blocks = deployment.node.batch([("eth_getBlockByNumber", [hex(n), False]) for n in range(head + 1)])
        found[deployment.chain_id] = [str(block["hash"]) for block in blocks if isinstance(block, dict)]
    return found


PositionRow = tuple[int, str, str, str, int]
"""(chain, owner, token, side, amount)."""


def stored_positions(stage: Stage) -> set[PositionRow]:
    async def query(reader: Reader) -> set[PositionRow]:
        rows = await reader.fetch("SELECT chain_id, owner, token, side, amount FROM positions WHERE amount <> 0")
        return {
            (
                row.integer("chain_id"),
                hex_of(row.octets("owner")),
                hex_of(row.octets("token")),
                row.text("side"),
                row.integer("amount"),
            )
            for row in rows
        }

    return read(stage.dsn, query)


def read_books(stage: Stage) -> list[Book]:
    """Each vault's book, folded from its node's own logs."""
    return [read_book(each.node.url, hex_of(each.vault), ABI) for each in stage.deployments]


def book_positions(books: Sequence[Book]) -> set[PositionRow]:
    return {
        (chain, owner, token, side, amount)
        for chain, book in zip(CHAIN_IDS, books, strict=True)
        for side, balances in (("collateral", book.collateral), ("debt", book.debt))
        for (owner, token), amount in balances.items()
        if amount
    }


def committed_ticks(stage: Stage, after: int) -> list[Tick]:
    async def query(reader: Reader) -> list[Tick]:
        rows = await reader.fetch("SELECT * FROM prices WHERE seq > $1 ORDER BY seq", after)
        return [
            Tick(
                seq=row.integer("seq"),
                asset=row.text("asset"),
                usd=row.integer("usd"),
                at=row.integer("published_at"),
                low=row.integer("usd_low"),
                high=row.integer("usd_high"),
                live=row.text("status") == "live",
            )
            for row in rows
        ]

    return read(stage.dsn, query)


MarginRow = tuple[str, int, int, int, int, str, int]
"""(account, episode, step, before, after, cause, price seq)."""


def recorded_margin_events(stage: Stage) -> list[MarginRow]:
    async def query(reader: Reader) -> list[MarginRow]:
        rows = await reader.fetch(
            "SELECT account, episode, step, before, after, cause, (inputs ->> 'price_seq')::bigint AS price_seq"
            " FROM margin_events ORDER BY seq"
        )
        return [
            (
                row.text("account"),
                row.integer("episode"),
                row.integer("step"),
                row.integer("before"),
                row.integer("after"),
                row.text("cause"),
                row.integer("price_seq"),
            )
            for row in rows
        ]

    return read(stage.dsn, query)


def delivery_ids(stage: Stage, where: str = "true") -> set[str]:
    async def query(reader: Reader) -> set[str]:
        return {row.text("id") for row in await reader.fetch(f"SELECT id FROM deliveries WHERE {where}")}

    return read(stage.dsn, query)
