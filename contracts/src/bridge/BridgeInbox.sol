// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Envelope, Envelopes} from "./Envelope.sol";
import {IBridgeInbox} from "./IBridge.sol";
import {IBridgeRouterEvents, IMessageApp} from "./IBridgeRouter.sol";
import {BridgeRegistry} from "./BridgeRegistry.sol";

/// @notice The receiving half of the router. A bridge delivers each payload into exactly one of three ends: refused
/// (it can never be right here), applied, or stored, to be retried by anyone.
///
/// Invariants: `processed` is set before an application runs and never unset, whatever bridge delivers; an application
/// applies an id at most once; a stored id is a processed one that was not applied.
abstract contract BridgeInbox is BridgeRegistry, IBridgeInbox, IBridgeRouterEvents {
    event MessageDiscarded(bytes32 indexed id, address indexed by, uint64 seq);

    error MalformedPayload(uint256 size);
    error UnsupportedVersion(uint16 version);
    error WrongSourceChain(uint64 deliveredFrom, uint64 claimed);
    error WrongDestinationChain(uint64 chainId);
    error AlreadyProcessed(bytes32 id);
    error UnknownRoute(uint64 srcChainId, address srcApp, address dstApp);
    error InsufficientGas(uint256 available, uint256 needed);
    error NotStored(bytes32 id);

    /// @notice Gas that an application never gets, so that storing its failure always fits: two new storage slots, an
    /// event with payload and reason, and the way back through the adapter.
    uint256 public constant STORING_GAS = 80_000;
    /// @notice Bytes of an application's revert data that the events keep.
    uint256 public constant MAX_REASON = 256;

    mapping(bytes32 id => bool) public processed;
    /// @notice The adapter that delivered a stored message; zero for every other id.
    mapping(bytes32 id => address) public storedFrom;

    /// @inheritdoc IBridgeInbox
    function receivePayload(uint64 srcChainId, bytes calldata payload) external {
        bytes32 bridge = bridgeOf[msg.sender];
        if (bridge == 0) revert NotABridge(msg.sender);
        bytes32 id = Envelopes.idOf(payload);
        (bool wellFormed, Envelope memory envelope) = Envelopes.tryDecode(payload);
        bytes memory refusal = wellFormed
            ? _refusal(id, srcChainId, envelope)
            : abi.encodeWithSelector(MalformedPayload.selector, payload.length);
        if (refusal.length != 0) {
            emit MessageRefused(id, bridge, _nextSeq(), srcChainId, payload, refusal);
            return;
        }
        processed[id] = true;
        bytes memory reason = _isPaused(bridge, PAUSE_INBOUND)
            ? abi.encodeWithSelector(BridgePaused.selector, bridge, PAUSE_INBOUND)
            : _apply(id, envelope);
        if (reason.length == 0) {
            emit MessageReceived(id, bridge, envelope.dstApp, _nextSeq(), payload);
        } else {
            storedFrom[id] = msg.sender;
            emit MessageFailed(id, bridge, envelope.dstApp, _nextSeq(), payload, reason);
        }
    }

    /// @notice Applies a stored message again. Open to all: it only does what the delivery should have done. Reverts
    /// when the message is not stored, its bridge is paused inbound, or its adapter left the registry.
    function retry(bytes calldata payload) external returns (bool applied) {
        bytes32 id = Envelopes.idOf(payload);
        address adapter = storedFrom[id];
        if (adapter == address(0)) revert NotStored(id);
        bytes32 bridge = bridgeOf[adapter];
        if (bridge == 0) revert NotABridge(adapter);
        if (_isPaused(bridge, PAUSE_INBOUND)) revert BridgePaused(bridge, PAUSE_INBOUND);
        delete storedFrom[id];
        // What is stored was decoded when it was stored.
        // slither-disable-next-line unused-return
        (, Envelope memory envelope) = Envelopes.tryDecode(payload);
        bytes memory reason = _apply(id, envelope);
        applied = reason.length == 0;
        if (applied) {
            emit MessageRecovered(id, msg.sender, _nextSeq());
        } else {
            storedFrom[id] = adapter;
            emit MessageRetried(id, msg.sender, _nextSeq(), reason);
        }
    }

    /// @dev For what a compromised bridge delivered while it was paused.
    function _discard(bytes32 id) internal {
        if (storedFrom[id] == address(0)) revert NotStored(id);
        delete storedFrom[id];
        emit MessageDiscarded(id, msg.sender, _nextSeq());
    }

    /// @return The encoded error if no later state of this router could make the message right; else nothing.
    function _refusal(bytes32 id, uint64 srcChainId, Envelope memory envelope) private view returns (bytes memory) {
        if (envelope.version != Envelopes.VERSION) {
            return abi.encodeWithSelector(UnsupportedVersion.selector, envelope.version);
        }
        if (envelope.srcChainId != srcChainId) {
            return abi.encodeWithSelector(WrongSourceChain.selector, srcChainId, envelope.srcChainId);
        }
        if (envelope.dstChainId != block.chainid) {
            return abi.encodeWithSelector(WrongDestinationChain.selector, envelope.dstChainId);
        }
        if (processed[id]) return abi.encodeWithSelector(AlreadyProcessed.selector, id);
        return "";
    }

    /// @dev An unknown pair of applications is a failure and not a refusal: value may be locked at the source, and the
    /// registration here may only be late.
    /// @return reason Nothing when the application took the message.
    function _apply(bytes32 id, Envelope memory envelope) private returns (bytes memory reason) {
        address app = envelope.dstApp;
        address remote = remoteAppOf[app][envelope.srcChainId];
        if (remote == address(0) || remote != envelope.srcApp) {
            return abi.encodeWithSelector(UnknownRoute.selector, envelope.srcChainId, envelope.srcApp, app);
        }
        if (app.code.length == 0) return abi.encodeWithSelector(NoCode.selector, app);
        bytes memory data = abi.encodeCall(IMessageApp.onMessage, (id, envelope));
        uint256 available = gasleft();
        if (available <= STORING_GAS) {
            return abi.encodeWithSelector(InsufficientGas.selector, available, STORING_GAS);
        }
        return _call(app, data, available - STORING_GAS);
    }

    /// @dev In assembly, since `try` copies all revert data: an application could return so much of it that storing its
    /// failure runs out of gas. Revert data of no bytes, as of running out of gas, becomes one zero word, so that a
    /// failure always has a reason.
    function _call(address app, bytes memory data, uint256 gasForApp) private returns (bytes memory reason) {
        bool ok;
        uint256 size;
        assembly ("memory-safe") {
            ok := call(gasForApp, app, 0, add(data, 0x20), mload(data), 0, 0)
            size := returndatasize()
        }
        if (ok) return "";
        if (size == 0) return new bytes(32);
        if (size > MAX_REASON) size = MAX_REASON;
        reason = new bytes(size);
        assembly ("memory-safe") {
            returndatacopy(add(reason, 0x20), 0, size)
        }
    }
}
