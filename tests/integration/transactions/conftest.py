"""A sender in front of anvil: blocks come when the test mines them, and are final after four more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fusion_daemon.aio import Aio
from fusion_daemon.demo.anvil import Anvil, anvil
from fusion_daemon.store import Store
from tests.integration.transactions.sending import Sending


@pytest.fixture
def quiet_node() -> Iterator[Anvil]:
    with anvil(31_337, options=("--no-mining", "--slots-in-an-epoch", "2")) as running:
        yield running


@pytest.fixture
def sending(aio: Aio, store: Store, quiet_node: Anvil) -> Iterator[Sending]:
    made = Sending(aio, store, quiet_node)
    yield made
    made.node.close()
