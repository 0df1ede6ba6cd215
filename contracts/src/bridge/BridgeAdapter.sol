// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {BridgePeers, Peer} from "./BridgePeers.sol";
import {IBridge, IBridgeInbox} from "./IBridge.sol";

/// @notice What is the same behind every bridge: only the router sends, the fee is paid exactly, and what came with the
/// call above it returns; what arrives counts only from the peer of its chain.
///
/// Invariant: the balance is at least the sum of `refundOf`.
abstract contract BridgeAdapter is IBridge, BridgePeers {
    /// @notice `account` did not take its surplus; it waits for `claimRefund`.
    event RefundStored(address indexed account, uint256 amount, uint256 balance, uint64 seq);
    event RefundClaimed(address indexed account, address indexed to, uint256 amount, uint64 seq);

    error NotRouter(address caller);
    error FeeTooLow(uint256 fee, uint256 sent);
    /// @notice The bridge asks no fee, which it would take for a message that nobody pays to execute.
    error NoFeeQuoted(uint64 chainId);
    error NoRefund(address account);

    IBridgeInbox public immutable ROUTER;

    mapping(address account => uint256) public refundOf;

    constructor(address router, uint32 peerDelay) BridgePeers(router, peerDelay) {
        ROUTER = IBridgeInbox(router);
    }

    /// @inheritdoc IBridge
    function send(uint64 dstChainId, bytes calldata payload, address refundTo) external payable {
        if (msg.sender != address(ROUTER)) revert NotRouter(msg.sender);
        Peer memory peer = peerOf(dstChainId);
        uint256 fee = _fee(peer, payload);
        if (msg.value < fee) revert FeeTooLow(fee, msg.value);
        _carry(peer, payload, fee, refundTo);
        if (msg.value > fee) _refund(refundTo, msg.value - fee);
    }

    /// @inheritdoc IBridge
    function quote(uint64 dstChainId, bytes calldata payload) external view returns (uint256 fee) {
        return _fee(peerOf(dstChainId), payload);
    }

    function claimRefund(address to) external {
        uint256 amount = refundOf[msg.sender];
        // Not a balance: the record of one account, which nobody else can move.
        // slither-disable-next-line incorrect-equality
        if (amount == 0) revert NoRefund(msg.sender);
        delete refundOf[msg.sender];
        emit RefundClaimed(msg.sender, to, amount, _nextSeq());
        Address.sendValue(payable(to), amount);
    }

    /// @dev Native currency that the bridge asks for `payload`.
    function _fee(Peer memory peer, bytes calldata payload) internal view virtual returns (uint256);

    function _carry(Peer memory peer, bytes calldata payload, uint256 fee, address refundTo) internal virtual;

    /// @dev `isPeer` compares the sender in the bridge's own words.
    function _deliver(bytes memory network, bytes memory sender, bytes memory payload) internal {
        uint64 chainId = chainOf(network);
        if (chainId == 0 || !_isSender(peerOf(chainId).adapter, sender)) revert UnknownPeer(network, sender);
        ROUTER.receivePayload(chainId, payload);
    }

    /// @return Whether the bridge's word for a sender means `adapter`.
    function _isSender(address adapter, bytes memory sender) internal pure virtual returns (bool);

    /// @dev A receiver that does not take its surplus does not stop the message.
    function _refund(address to, uint256 amount) private {
        if (LowLevelCall.callNoReturn(to, amount, "")) return;
        uint256 balance = refundOf[to] += amount;
        emit RefundStored(to, amount, balance, _nextSeq());
    }
}
