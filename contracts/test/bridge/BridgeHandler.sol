// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "forge-std/Vm.sol";
import {BridgeFixture} from "./BridgeFixture.sol";
import {RecordingApp} from "./RecordingApp.sol";

/// @notice Two chains that send to each other while bridges deliver in any order and as often as they like, forge,
/// pause and fail. Keeps what was sent, and folds the routers' logs.
abstract contract BridgeHandler is BridgeFixture {
    struct Sent {
        bool fromHome;
        bytes payload;
    }

    Sent[] internal sent;
    mapping(bytes32 id => bool) internal wasSent;
    /// @dev Every payload that a bridge ever delivered, forged ones too.
    bytes32[] internal delivered;
    mapping(string action => uint256) public done;
    mapping(address router => uint64) internal lastSeq;
    mapping(bytes32 id => uint256) internal appliedByLogs;

    function setUp() public virtual override {
        super.setUp();
        for (uint256 i = 0; i < 2; ++i) lastSeq[address(side(i == 0).router)] = side(i == 0).router.seq();
    }

    modifier recorded() {
        vm.recordLogs();
        _;
    }

    function side(bool isHome) internal view returns (Side storage) {
        return isHome ? home : away;
    }

    function actSend(bool fromHome, bool overCcip) external recorded {
        Side storage from = side(fromHome);
        bytes32 bridge = overCcip ? CCIP : AXELAR;
        if (from.router.pauseFlagsOf(bridge) & 1 != 0) return;
        bytes memory payload = send(from, side(!fromHome), bridge);
        sent.push(Sent(fromHome, payload));
        wasSent[keccak256(payload)] = true;
        fold("send");
    }

    /// @dev CCIP's router mock would deliver within the transaction, on the chain that sends.
    function actResend(uint256 which, bool overCcip) external recorded {
        if (sent.length == 0) return;
        Sent storage message = sent[which % sent.length];
        Side storage from = side(message.fromHome);
        (bytes32 bridge, uint256 fee) = overCcip ? (CCIP, CCIP_FEE) : (AXELAR, AXELAR_FEE);
        if (from.router.pauseFlagsOf(bridge) & 1 != 0) return;
        on(from);
        Side storage to = side(!message.fromHome);
        bytes memory code = address(to.ccip).code;
        vm.etch(address(to.ccip), "");
        hoax(alice, fee);
        from.router.resend{value: fee}(message.payload, bridge, alice);
        vm.etch(address(to.ccip), code);
        fold("resend");
    }

    /// @dev Any message, over any bridge, again and again: duplicates, other orders, the other bridge.
    function actDeliver(uint256 which, bool overCcip, bool lowGas) external recorded {
        if (sent.length == 0) return;
        Sent storage message = sent[which % sent.length];
        Side storage to = side(!message.fromHome);
        bytes32 id = keccak256(message.payload);
        bool again = to.router.processed(id);
        Delivery memory delivery =
            ready(side(message.fromHome), to, overCcip ? CCIP : AXELAR, message.payload);
        (bool ok,) = delivery.target.call{gas: lowGas ? 190_000 : 1_000_000}(delivery.data);
        if (!ok) return;
        delivered.push(id);
        fold(again ? "duplicate" : "deliver");
    }

    /// @dev From the trusted peer, but never sent by its router: only a wrong destination can be told.
    function actForge(bool fromHome, uint256 size) external recorded {
        bytes memory payload = abi.encode(envelopeOf(side(fromHome), side(fromHome), uint64(size % 100) + 1));
        if (size % 2 == 0) payload = new bytes(size % 500);
        delivered.push(keccak256(payload));
        deliver(side(fromHome), side(!fromHome), AXELAR, payload);
        fold("forge");
    }

    function actRetry(uint256 which) external recorded {
        for (uint256 i = 0; i < sent.length; ++i) {
            Sent storage message = sent[(which % sent.length + i) % sent.length];
            Side storage to = side(!message.fromHome);
            address adapter = to.router.storedFrom(keccak256(message.payload));
            if (adapter == address(0) || to.router.pauseFlagsOf(to.router.bridgeOf(adapter)) & 2 != 0) continue;
            on(to);
            // capped, or an application that burns gas burns a block's worth at each retry
            fold(to.router.retry{gas: 1_000_000}(message.payload) ? "recover" : "retry");
            return;
        }
    }

    function actPause(bool atHome, bool ccip, uint8 flags) external recorded {
        if (flags % 3 == 0) return;
        vm.prank(guardian);
        side(atHome).router.pause(ccip ? CCIP : AXELAR, flags & 3);
        fold("pause");
    }

    function actUnpause(bool atHome) external recorded {
        vm.startPrank(registrar);
        side(atHome).router.unpause(AXELAR, 3);
        side(atHome).router.unpause(CCIP, 3);
        vm.stopPrank();
        fold("unpause");
    }

    function actMood(bool atHome, uint256 mood) external recorded {
        uint256 pick = mood % 8;
        side(atHome).app.setMood(pick < 4 ? RecordingApp.Mood.Takes : RecordingApp.Mood(pick - 3));
        fold("mood");
    }

    /// @dev Numbers of the routers' own events follow each other; every application of a message is counted.
    function fold(string memory action) private {
        ++done[action];
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            address emitter = logs[i].emitter;
            if (emitter != address(home.router) && emitter != address(away.router)) continue;
            bytes32 topic = logs[i].topics[0];
            require(seqOf(topic, logs[i].data) == ++lastSeq[emitter], "a gap in seq");
            if (topic == MessageReceived.selector || topic == MessageRecovered.selector) {
                ++appliedByLogs[logs[i].topics[1]];
            }
        }
    }

    /// @dev Where the number stands among the words of an event's data.
    function seqOf(bytes32 topic, bytes memory data) private pure returns (uint64 value) {
        uint256 offset = topic == keccak256("PauseChanged(bytes32,uint8,uint8,address,uint64)") ? 4 : 1;
        assembly {
            value := mload(add(data, mul(offset, 32)))
        }
    }
}
