"""A believable bridge between two local chains: Axelar's relayer and CCIP's network, with faults to switch on."""

from fusion_daemon.demo.bridge.deploy import BridgeChain, Generation, deploy_bridge
from fusion_daemon.demo.bridge.faults import Faults, Held, Key
from fusion_daemon.demo.bridge.network import DevBridge

__all__ = ["BridgeChain", "DevBridge", "Faults", "Generation", "Held", "Key", "deploy_bridge"]
