"""A chain listener on a real Postgres, in front of the project's own fake node or of anvil."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fusion_daemon.aio import Aio
from fusion_daemon.demo.anvil import Anvil, anvil
from fusion_daemon.store import Store
from tests.faults.fake_node import FakeNode, serve
from tests.integration.chain.listening import Listening


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with serve(FakeNode()) as served:
        yield served


@pytest.fixture
def second_node() -> Iterator[FakeNode]:
    """Another endpoint; tests give it the first one's blocks."""
    with serve(FakeNode()) as served:
        yield served


@pytest.fixture
def chain_node() -> Iterator[Anvil]:
    with anvil(31_337) as running:
        yield running


@pytest.fixture
def listening(aio: Aio, store: Store) -> Listening:
    return Listening(aio, store)
