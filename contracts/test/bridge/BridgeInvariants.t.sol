// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "forge-std/Test.sol";
import {BridgeHandler} from "./BridgeHandler.sol";

contract BridgeActions is BridgeHandler {
    function assertLaws() external view {
        for (uint256 i = 0; i < sent.length; ++i) assertEndOf(sent[i]);
        for (uint256 i = 0; i < delivered.length; ++i) {
            if (wasSent[delivered[i]]) continue;
            require(home.app.applied(delivered[i]) + away.app.applied(delivered[i]) == 0, "applied, never sent");
        }
        require(lastSeq[address(home.router)] == home.router.seq(), "an event of home was not seen");
        require(lastSeq[address(away.router)] == away.router.seq(), "an event of away was not seen");
    }

    function assertEndOf(Sent storage message) private view {
        Side storage to = side(!message.fromHome);
        bytes32 id = keccak256(message.payload);
        uint256 applied = to.app.applied(id);
        require(applied <= 1, "applied twice");
        require(side(message.fromHome).app.applied(id) == 0, "applied at its source");
        require(applied == appliedByLogs[id], "the logs tell otherwise");
        bool isStored = to.router.storedFrom(id) != address(0);
        require(to.router.processed(id) == (isStored != (applied == 1)), "neither stored nor applied, or both");
    }
}

/// @notice After any sequence of sends, resends, deliveries in any order and number, forgeries, pauses, failures and retries:
/// each id is applied at most once, only if it was sent, and the routers' events are numbered without a gap.
contract BridgeInvariantsTest is Test {
    BridgeActions private actions;

    function setUp() public {
        actions = new BridgeActions();
        actions.setUp();
        bytes4[] memory selectors = new bytes4[](8);
        (selectors[0], selectors[1]) = (actions.actSend.selector, actions.actForge.selector);
        (selectors[2], selectors[3]) = (actions.actDeliver.selector, actions.actRetry.selector);
        (selectors[4], selectors[5]) = (actions.actPause.selector, actions.actUnpause.selector);
        (selectors[6], selectors[7]) = (actions.actMood.selector, actions.actResend.selector);
        targetSelector(FuzzSelector(address(actions), selectors));
        targetContract(address(actions));
    }

    /// forge-config: default.invariant.runs = 10
    /// forge-config: default.invariant.depth = 2000
    function invariant_each_message_ends_once() public view {
        actions.assertLaws();
    }

    /// @dev A run in which an action never worked would prove nothing.
    function afterInvariant() public view {
        string[10] memory names =
            ["send", "resend", "deliver", "duplicate", "forge", "retry", "recover", "pause", "unpause", "mood"];
        for (uint256 i = 0; i < names.length; ++i) assertGt(actions.done(names[i]), 0, names[i]);
    }
}
