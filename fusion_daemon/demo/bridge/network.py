"""The whole dev bridge: both directions of Axelar and of every generation of CCIP, one step after the other."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from fusion_daemon.demo.bridge.axelar import AxelarRelayer
from fusion_daemon.demo.bridge.ccip import CcipNetwork
from fusion_daemon.demo.bridge.deploy import BridgeChain, Generation
from fusion_daemon.demo.bridge.faults import Faults, Held, Key

_GENERATIONS: Sequence[Generation] = ("1.5", "1.6", "2.0")


class DevBridge:
    """Acts on finalized source blocks (`depth` None), or on blocks `depth` below the head.

    A step blocks: it talks to both nodes over their own connections, so nobody else may use these nodes
    meanwhile. Steps over the same chains under the same faults do the same.
    """

    def __init__(self, chains: tuple[BridgeChain, BridgeChain], faults: Faults, depth: int | None = None) -> None:
        one, two = chains
        directions = ((one, two), (two, one))
        self.faults = faults
        self._carriers: list[AxelarRelayer | CcipNetwork] = []
        for here, there in directions:
            self._carriers.append(AxelarRelayer(here, there, faults, depth))
            self._carriers += [CcipNetwork(here, there, version, faults, depth) for version in _GENERATIONS]

    def step(self) -> None:
        for carrier in self._carriers:
            carrier.step()

    async def run(self, every: float) -> None:
        """Step after step until cancelled, `every` seconds apart. Each runs in a thread; a cancellation waits for
        the end of the step."""
        while True:
            await trio.to_thread.run_sync(self.step)
            await trio.sleep(every)

    @property
    def held(self) -> dict[Key, Held]:
        """What the last step left behind, and why."""
        return {key: reason for carrier in self._carriers for key, reason in carrier.memory.held.items()}

    def resume(self, key: Key) -> None:
        """Carry a held message in the next step, whatever the faults say: a failed one once more, with ample gas.
        Raises KeyError when no message of that key is held."""
        carrier = next((each for each in self._carriers if key in each.memory.held), None)
        if carrier is None:
            raise KeyError(key)
        carrier.memory.resume(key)
