// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AxelarExecutable} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/executable/AxelarExecutable.sol";
import {IAxelarGasService} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/interfaces/IAxelarGasService.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {BridgeAdapter} from "./BridgeAdapter.sol";
import {Peer} from "./BridgePeers.sol";

/// @title AxelarAdapter
/// @notice Axelar behind the router, over the classic or the amplifier gateway. A peer's network is Axelar's name of
/// the chain, which is case-sensitive; addresses come as text of either case and are compared as 20 bytes.
contract AxelarAdapter is BridgeAdapter, AxelarExecutable {
    using Strings for address;

    IAxelarGasService public immutable GAS_SERVICE;

    constructor(address router, address gateway_, address gasService, uint32 peerDelay)
        BridgeAdapter(router, peerDelay)
        AxelarExecutable(gateway_)
    {
        if (gasService == address(0)) revert InvalidAddress();
        GAS_SERVICE = IAxelarGasService(gasService);
    }

    /// @param name Axelar's name of the chain.
    function proposePeer(uint64 chainId, string calldata name, address adapter, uint64 gasLimit)
        external
        onlyRegistrar
    {
        _propose(chainId, Peer({network: bytes(name), adapter: adapter, gasLimit: gasLimit}));
    }

    function _fee(Peer memory peer, bytes calldata payload) internal view override returns (uint256 fee) {
        string memory name = string(peer.network);
        fee = GAS_SERVICE.estimateGasFee(name, peer.adapter.toHexString(), payload, peer.gasLimit, "");
        // Any fee but none is the gas service's own word.
        // slither-disable-next-line incorrect-equality
        if (fee == 0) revert NoFeeQuoted(chainOf(peer.network));
    }

    /// @dev The payment and the call belong together by being in one transaction with equal arguments, payment first.
    function _carry(Peer memory peer, bytes calldata payload, uint256 fee, address refundTo) internal override {
        string memory name = string(peer.network);
        string memory remote = peer.adapter.toHexString();
        GAS_SERVICE.payNativeGasForContractCall{value: fee}(address(this), name, remote, payload, refundTo);
        gateway().callContract(name, remote, payload);
    }

    function _execute(bytes32, string calldata sourceChain, string calldata sourceAddress, bytes calldata payload)
        internal
        override
    {
        _deliver(bytes(sourceChain), bytes(sourceAddress), payload);
    }

    function _isSender(address adapter, bytes memory sender) internal pure override returns (bool) {
        (bool ok, address parsed) = Strings.tryParseAddress(string(sender));
        return ok && parsed == adapter;
    }
}
