// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessControlDefaultAdminRules} from
    "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {BridgeInbox} from "./BridgeInbox.sol";
import {Envelope, Envelopes} from "./Envelope.sol";
import {IBridge} from "./IBridge.sol";
import {IBridgeRouter, Outbound} from "./IBridgeRouter.sol";

/// @title BridgeRouter
/// @notice One a chain. Registered applications send envelopes to their peers on other chains over any registered
/// bridge, and receive them at most once whatever bridges deliver. Its roles are also those of the adapters.
contract BridgeRouter is IBridgeRouter, BridgeInbox, AccessControlDefaultAdminRules {
    /// @notice Registers bridges, applications and peers, lifts pauses, discards stored messages. Changes act at once,
    /// except those of peers; so the holder should be a timelock.
    bytes32 public constant REGISTRAR_ROLE = keccak256("REGISTRAR_ROLE");
    /// @notice Can pause and nothing else.
    bytes32 public constant GUARDIAN_ROLE = keccak256("GUARDIAN_ROLE");

    uint48 private constant ADMIN_TRANSFER_DELAY = 1 days;

    /// @notice Nobody could get back what the bridge does not need.
    error NoRefundTo();
    error NotSent(bytes32 id);

    /// @notice Of the last envelope sent.
    uint64 public nonce;
    /// @notice What this router sent, whatever became of it.
    mapping(bytes32 id => bool) public sent;

    constructor(address admin) AccessControlDefaultAdminRules(ADMIN_TRANSFER_DELAY, admin) {}

    // -- Applications -------------------------------------------------------------------------------------------------

    /// @inheritdoc IBridgeRouter
    function send(Outbound calldata message, address refundTo) external payable returns (bytes32 id) {
        if (remoteAppOf[msg.sender][message.dstChainId] == address(0)) {
            revert UnknownApp(msg.sender, message.dstChainId);
        }
        address adapter = _openAdapter(message.bridge, refundTo);
        bytes memory payload = _payload(message, ++nonce);
        id = Envelopes.idOf(payload);
        sent[id] = true;
        emit MessageSent(id, message.bridge, msg.sender, _nextSeq(), payload);
        IBridge(adapter).send{value: msg.value}(message.dstChainId, payload, refundTo);
    }

    /// @inheritdoc IBridgeRouter
    function resend(bytes calldata payload, bytes32 bridge, address refundTo) external payable {
        bytes32 id = Envelopes.idOf(payload);
        if (!sent[id]) revert NotSent(id);
        address adapter = _openAdapter(bridge, refundTo);
        // What was sent is an envelope.
        // slither-disable-next-line unused-return
        (, Envelope memory envelope) = Envelopes.tryDecode(payload);
        emit MessageResent(id, bridge, msg.sender, _nextSeq());
        IBridge(adapter).send{value: msg.value}(envelope.dstChainId, payload, refundTo);
    }

    /// @inheritdoc IBridgeRouter
    function quote(Outbound calldata message) external view returns (uint256 fee) {
        return IBridge(_requireBridge(message.bridge)).quote(message.dstChainId, _payload(message, nonce + 1));
    }

    /// @return adapter Of a bridge over which messages may leave now.
    function _openAdapter(bytes32 bridge, address refundTo) private view returns (address adapter) {
        adapter = _requireBridge(bridge);
        if (_isPaused(bridge, PAUSE_OUTBOUND)) revert BridgePaused(bridge, PAUSE_OUTBOUND);
        if (refundTo == address(0)) revert NoRefundTo();
    }

    function _payload(Outbound calldata message, uint64 nonce_) private view returns (bytes memory) {
        return Envelopes.encode(
            Envelope({
                version: Envelopes.VERSION,
                srcChainId: uint64(block.chainid),
                srcApp: msg.sender,
                dstChainId: message.dstChainId,
                dstApp: remoteAppOf[msg.sender][message.dstChainId],
                nonce: nonce_,
                kind: message.kind,
                account: message.account,
                asset: message.asset,
                amount: message.amount,
                deadline: message.deadline,
                ref: message.ref
            })
        );
    }

    // -- Configuration ------------------------------------------------------------------------------------------------

    /// @notice Messages that the old adapter stored cannot be retried until it is registered again.
    /// @param adapter The zero address removes the bridge.
    function setBridge(bytes32 bridge, address adapter) external onlyRole(REGISTRAR_ROLE) {
        _setBridge(bridge, adapter);
    }

    /// @param remote The peer of `app` on `chainId`; the zero address removes it.
    function setApp(address app, uint64 chainId, address remote) external onlyRole(REGISTRAR_ROLE) {
        _setApp(app, chainId, remote);
    }

    /// @notice Gives up a stored message for good.
    function discard(bytes32 id) external onlyRole(REGISTRAR_ROLE) {
        _discard(id);
    }

    function pause(bytes32 bridge, uint8 flags) external onlyRole(GUARDIAN_ROLE) {
        _requireBridge(bridge);
        _setPause(bridge, pauseFlagsOf[bridge] | flags);
    }

    function unpause(bytes32 bridge, uint8 flags) external onlyRole(REGISTRAR_ROLE) {
        _setPause(bridge, pauseFlagsOf[bridge] & ~flags);
    }
}
