// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CCIPReceiver} from "@chainlink/contracts-ccip/contracts/applications/CCIPReceiver.sol";
import {IRouterClient} from "@chainlink/contracts-ccip/contracts/interfaces/IRouterClient.sol";
import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {BridgeAdapter} from "./BridgeAdapter.sol";
import {Peer} from "./BridgePeers.sol";

/// @title CcipAdapter
/// @notice CCIP behind the router. A peer's network is the chain's selector as one word.
contract CcipAdapter is BridgeAdapter, CCIPReceiver {
    constructor(address router, address ccipRouter, uint32 peerDelay)
        BridgeAdapter(router, peerDelay)
        CCIPReceiver(ccipRouter)
    {}

    function proposePeer(uint64 chainId, uint64 selector, address adapter, uint64 gasLimit) external onlyRegistrar {
        if (selector == 0) revert InvalidPeer(chainId);
        _propose(chainId, Peer({network: abi.encode(selector), adapter: adapter, gasLimit: gasLimit}));
    }

    function _fee(Peer memory peer, bytes calldata payload) internal view override returns (uint256) {
        return IRouterClient(getRouter()).getFee(_selectorOf(peer), _message(peer, payload));
    }

    function _carry(Peer memory peer, bytes calldata payload, uint256 fee, address) internal override {
        // CCIP's own id: the envelope's stands for the message on both chains.
        // slither-disable-next-line unused-return
        IRouterClient(getRouter()).ccipSend{value: fee}(_selectorOf(peer), _message(peer, payload));
    }

    function _ccipReceive(Client.Any2EVMMessage memory message) internal override {
        _deliver(abi.encode(message.sourceChainSelector), message.sender, message.data);
    }

    /// @dev CCIP tells an EVM sender as one word; anything longer is not one.
    function _isSender(address adapter, bytes memory sender) internal pure override returns (bool) {
        // Two senders are equal or not; nothing between would be trusted.
        // slither-disable-next-line incorrect-equality
        return keccak256(sender) == keccak256(abi.encode(adapter));
    }

    function _selectorOf(Peer memory peer) private pure returns (uint64) {
        return abi.decode(peer.network, (uint64));
    }

    /// @dev The router refuses receivers of other than 32 bytes. Execution out of order: one failed message must not
    /// hold up those after it, and the envelope's own guard needs no order.
    function _message(Peer memory peer, bytes calldata payload) private pure returns (Client.EVM2AnyMessage memory) {
        return Client.EVM2AnyMessage({
            receiver: abi.encode(peer.adapter),
            data: payload,
            tokenAmounts: new Client.EVMTokenAmount[](0),
            feeToken: address(0),
            extraArgs: Client._argsToBytes(
                Client.GenericExtraArgsV2({gasLimit: peer.gasLimit, allowOutOfOrderExecution: true})
            )
        });
    }
}
