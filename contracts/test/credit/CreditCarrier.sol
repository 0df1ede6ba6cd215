// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Envelope} from "../../src/bridge/Envelope.sol";
import {CreditKinds} from "../../src/credit/CreditTypes.sol";
import {CreditFixture, Market} from "./CreditFixture.sol";
import {LoopBridge} from "./LoopBridge.sol";

/// @notice The messages between the two chains: they come late, twice, over the other bridge, in any order, or not at
/// all until somebody sends them again. A refused action must be refused by name; an arithmetic panic fails the run.
/// Counts what succeeded, by action.
abstract contract CreditCarrier is CreditFixture {
    struct Message {
        bytes payload;
        bytes32 ref;
        uint8 kind;
        uint256 amount;
        uint64 src;
        bool stored;
    }

    /// @dev What is on its way: grants, and grants, releases and seizures together. What is lost is on its way too.
    mapping(bytes32 ref => uint256) public granting;
    mapping(bytes32 ref => uint256) public moving;
    mapping(bytes32 action => uint256) public done;

    Message[] private waiting;
    Message[] private lost;
    Message[] private past;

    // -- Actions ------------------------------------------------------------------------------------------------------

    /// @dev Up to five of the waiting messages, over either bridge; a stored one is retried.
    function deliver(uint256 which, uint256 bridge) external {
        for (uint256 i = 0; i <= bridge % 5 && waiting.length != 0; ++i) {
            deliverAt((which % 1_000 + i) % waiting.length, bridge >> i);
        }
    }

    /// @dev What arrived once arrives again: nothing may happen.
    function deliverAgain(uint256 which, uint256 bridge) public {
        if (past.length == 0) return;
        Message storage message = past[which % past.length];
        Market storage dst = message.src == home.id ? on(abroad) : on(home);
        uint64 before = dst.remote.seq();
        (bridge % 2 == 0 ? dst.axelar : dst.ccip).deliver(message.src, message.payload);
        require(dst.remote.seq() == before, "applied twice");
        ++done["again"];
    }

    /// @dev One that no bridge has brought yet never comes, over whatever bridge.
    function lose(uint256 which) external {
        if (waiting.length == 0 || waiting[which % waiting.length].stored) return;
        lost.push(waiting[which % waiting.length]);
        drop(waiting, which % waiting.length);
        ++done["lose"];
    }

    /// @dev What was lost waits again; of what arrived, only a replay can come of it.
    function resend(uint256 which, uint256 bridge) public {
        if (lost.length != 0) {
            uint256 i = which % lost.length;
            handOver(lost[i], bridge);
            waiting.push(lost[i]);
            drop(lost, i);
            ++done["resendLost"];
        } else if (past.length != 0) {
            handOver(past[which % past.length], bridge);
            deliverAgain(which, bridge);
        }
    }

    // -- Messages -----------------------------------------------------------------------------------------------------

    /// @dev What was lost too.
    function deliverAll() internal {
        while (lost.length != 0) resend(0, lost.length);
        while (waiting.length != 0) {
            uint256 before = waiting.length;
            deliverAt(0, 0);
            require(waiting.length < before, "a message that never applies");
        }
    }

    function deliverAt(uint256 i, uint256 bridge) private {
        Message storage message = waiting[i];
        Market storage dst = message.src == home.id ? on(abroad) : on(home);
        if (message.stored) {
            if (!dst.router.retry(message.payload)) return;
            ++done["retry"];
        } else {
            (bridge % 2 == 0 ? dst.axelar : dst.ccip).deliver(message.src, message.payload);
            if (dst.router.storedFrom(keccak256(message.payload)) != address(0)) {
                message.stored = true;
                ++done["stored"];
                return;
            }
            ++done["deliver"];
        }
        if (message.kind == CreditKinds.GRANT) granting[message.ref] -= message.amount;
        if (message.kind != CreditKinds.CALL) moving[message.ref] -= message.amount;
        if (past.length < 16) past.push(message);
        else past[i % 16] = message;
        drop(waiting, i);
    }

    function sent(Market storage from, uint256 bridge) internal {
        LoopBridge carrier = bridge % 2 == 0 ? from.axelar : from.ccip;
        bytes memory payload = carrier.sent(carrier.sentCount() - 1);
        Envelope memory envelope = abi.decode(payload, (Envelope));
        if (envelope.kind == CreditKinds.GRANT) granting[envelope.ref] += envelope.amount;
        if (envelope.kind != CreditKinds.CALL) moving[envelope.ref] += envelope.amount;
        waiting.push(Message(payload, envelope.ref, envelope.kind, envelope.amount, from.id, false));
    }

    /// @dev The source's router takes it once more, and its bridge gets the very same payload.
    function handOver(Message storage message, uint256 bridge) private {
        Market storage src = at(message.src);
        LoopBridge carrier = bridge % 2 == 0 ? src.axelar : src.ccip;
        bytes memory data =
            abi.encodeCall(src.router.resend, (message.payload, bridge % 2 == 0 ? AXELAR : CCIP, bob));
        (bool ok,) = attempt("resend", src, address(src.router), bob, data, FEE);
        require(ok, "a sent message that cannot be resent");
        require(keccak256(carrier.sent(carrier.sentCount() - 1)) == keccak256(message.payload), "another payload");
    }

    function drop(Message[] storage list, uint256 i) private {
        list[i] = list[list.length - 1];
        list.pop();
    }

    function at(uint64 id) internal view returns (Market storage) {
        return id == home.id ? home : abroad;
    }

    function attempt(
        bytes32 action,
        Market storage where,
        address target,
        address actor,
        bytes memory data,
        uint256 value
    ) internal returns (bool ok, bytes memory answer) {
        on(where);
        vm.deal(actor, value);
        vm.prank(actor);
        (ok, answer) = target.call{value: value}(data);
        if (ok) ++done[action];
        else require(answer.length >= 4 && bytes4(answer) != bytes4(0x4e487b71), "refused without a name");
    }
}
