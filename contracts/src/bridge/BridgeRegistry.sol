// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice What one chain's router knows: its bridges, which applications may talk to which, what is paused, and the
/// running number of its events. Every change tells the old and the new value.
///
/// Invariant: `adapterOf` and `bridgeOf` are inverse to each other.
abstract contract BridgeRegistry {
    event BridgeChanged(bytes32 indexed bridge, address oldAdapter, address newAdapter, uint64 seq);
    /// @notice `app` here and `newRemote` on `chainId` talk to each other; the zero address: no longer.
    event AppChanged(
        address indexed app, uint64 indexed chainId, address oldRemote, address newRemote, uint64 seq
    );
    event PauseChanged(bytes32 indexed bridge, uint8 oldFlags, uint8 newFlags, address by, uint64 seq);

    error UnknownBridge(bytes32 bridge);
    error NotABridge(address caller);
    error BridgeTaken(bytes32 bridge, address adapter);
    error UnknownApp(address app, uint64 chainId);
    error BridgePaused(bytes32 bridge, uint8 flag);
    error NoCode(address account);

    /// @notice Nothing is sent over the bridge.
    uint8 public constant PAUSE_OUTBOUND = 1;
    /// @notice What arrives over the bridge is stored, and cannot be retried until the pause is lifted.
    uint8 public constant PAUSE_INBOUND = 2;

    mapping(bytes32 bridge => address) public adapterOf;
    mapping(address adapter => bytes32) public bridgeOf;
    mapping(bytes32 bridge => uint8) public pauseFlagsOf;
    mapping(address app => mapping(uint64 chainId => address)) public remoteAppOf;

    uint64 private _seq;

    /// @notice The number of the last event.
    function seq() external view returns (uint64) {
        return _seq;
    }

    function _nextSeq() internal returns (uint64) {
        return ++_seq;
    }

    function _setBridge(bytes32 bridge, address adapter) internal {
        if (bridge == 0) revert UnknownBridge(bridge);
        if (adapter != address(0)) {
            if (adapter.code.length == 0) revert NoCode(adapter);
            if (bridgeOf[adapter] != 0) revert BridgeTaken(bridgeOf[adapter], adapter);
        }
        address oldAdapter = adapterOf[bridge];
        delete bridgeOf[oldAdapter];
        adapterOf[bridge] = adapter;
        if (adapter != address(0)) bridgeOf[adapter] = bridge;
        emit BridgeChanged(bridge, oldAdapter, adapter, _nextSeq());
    }

    function _setApp(address app, uint64 chainId, address remote) internal {
        if (remote != address(0) && app.code.length == 0) revert NoCode(app);
        emit AppChanged(app, chainId, remoteAppOf[app][chainId], remote, _nextSeq());
        remoteAppOf[app][chainId] = remote;
    }

    function _setPause(bytes32 bridge, uint8 flags) internal {
        emit PauseChanged(bridge, pauseFlagsOf[bridge], flags, msg.sender, _nextSeq());
        pauseFlagsOf[bridge] = flags;
    }

    function _isPaused(bytes32 bridge, uint8 flag) internal view returns (bool) {
        return pauseFlagsOf[bridge] & flag != 0;
    }

    function _requireBridge(bytes32 bridge) internal view returns (address adapter) {
        adapter = adapterOf[bridge];
        if (adapter == address(0)) revert UnknownBridge(bridge);
    }
}
