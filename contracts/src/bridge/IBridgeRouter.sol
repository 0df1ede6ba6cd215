// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Envelope} from "./Envelope.sol";

/// @notice What an application asks the router to carry. The router adds version, chains, applications and nonce.
struct Outbound {
    /// @dev The adapter to use: "axelar", "ccip".
    bytes32 bridge;
    uint64 dstChainId;
    uint8 kind;
    address account;
    address asset;
    uint256 amount;
    uint64 deadline;
    bytes32 ref;
}

/// @notice The events an indexer folds. `seq` counts the router's events from 1 without gaps.
interface IBridgeRouterEvents {
    event MessageSent(bytes32 indexed id, bytes32 indexed bridge, address indexed app, uint64 seq, bytes payload);
    /// @notice The same message, handed to a bridge once more.
    event MessageResent(bytes32 indexed id, bytes32 indexed bridge, address indexed by, uint64 seq);
    /// @notice Arrived and applied by `app`.
    event MessageReceived(bytes32 indexed id, bytes32 indexed bridge, address indexed app, uint64 seq, bytes payload);
    /// @notice Arrived and stored, because the application refused it, ran out of gas or the direction was paused.
    event MessageFailed(
        bytes32 indexed id, bytes32 indexed bridge, address indexed app, uint64 seq, bytes payload, bytes reason
    );
    /// @notice Arrived from a trusted peer and dropped for good: replay, wrong destination, malformed. `reason` is the
    /// encoded error.
    event MessageRefused(
        bytes32 indexed id, bytes32 indexed bridge, uint64 seq, uint64 srcChainId, bytes payload, bytes reason
    );
    /// @notice A retry of a stored message that failed again.
    event MessageRetried(bytes32 indexed id, address indexed by, uint64 seq, bytes reason);
    /// @notice A stored message that was applied by a retry.
    event MessageRecovered(bytes32 indexed id, address indexed by, uint64 seq);
}

interface IBridgeRouter is IBridgeRouterEvents {
    /// @notice Sends for the calling application. `msg.value` pays the bridge; what it does not need goes to
    /// `refundTo`, which is not zero.
    function send(Outbound calldata message, address refundTo) external payable returns (bytes32 id);

    /// @notice Hands a message that this router sent to `bridge` once more, because its own lost it: an approval that
    /// never comes, a lane that is cursed or retired. Open to all, who pay like the sender: the destination applies an
    /// id at most once, and refuses as late what its deadline says, so that one delivery too many changes nothing.
    /// The fee is what the bridge's adapter quotes.
    function resend(bytes calldata payload, bytes32 bridge, address refundTo) external payable;

    /// @notice The native fee that `send` needs.
    function quote(Outbound calldata message) external view returns (uint256 fee);
}

/// @notice An application behind the router.
interface IMessageApp {
    /// @notice The router's call alone. May revert: the message is then stored and can be retried by anyone.
    function onMessage(bytes32 id, Envelope calldata envelope) external;
}
