"""Parsed headers, logs and spans of a fake node's blocks, without a wire between."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fusion_daemon.chain.blocks import Head, Header, Log, Span
from fusion_daemon.chain.rpc_wire import WireHeader, WireLog, header_of, log_reader
from tests.faults.fake_node import FakeBlock, FakeNode


def header(block: FakeBlock, fill_bloom: bool = True) -> Header:
    return header_of(msgspec.convert(block.header(fill_bloom), WireHeader))


def logs_of(block: FakeBlock) -> list[Log]:
    return [log_reader()(msgspec.convert(log, WireLog)) for log in block.wire_logs()]


def span(blocks: Sequence[FakeBlock]) -> Span:
    return Span(tuple(map(header, blocks)), tuple(log for block in blocks for log in logs_of(block)))


def head(node: FakeNode, final: int | None) -> Head:
    return Head(0, header(node.head), None, final)
