// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Envelope} from "../../src/bridge/Envelope.sol";
import {IBridgeRouter, IMessageApp, Outbound} from "../../src/bridge/IBridgeRouter.sol";

/// @notice An application that counts what it applied and can be told to misbehave.
contract RecordingApp is IMessageApp {
    enum Mood {
        Takes,
        Refuses,
        BurnsGas,
        ReturnsMuch,
        RefusesSilently,
        Retries,
        Replies
    }

    error Unwilling(uint256 code);

    IBridgeRouter private immutable ROUTER;
    Mood public mood;
    uint256 public calls;
    mapping(bytes32 id => uint256) public applied;
    Outbound private _reply;

    constructor(IBridgeRouter router) {
        ROUTER = router;
    }

    receive() external payable {}

    function setMood(Mood mood_) external {
        mood = mood_;
    }

    function setReply(Outbound calldata reply) external {
        _reply = reply;
    }

    function send(Outbound calldata message, address refundTo) external payable returns (bytes32) {
        return ROUTER.send{value: msg.value}(message, refundTo);
    }

    function quote(Outbound calldata message) external view returns (uint256) {
        return ROUTER.quote(message);
    }

    function onMessage(bytes32 id, Envelope calldata envelope) external {
        require(msg.sender == address(ROUTER), "only the router");
        ++calls;
        if (mood == Mood.Refuses) revert Unwilling(42);
        if (mood == Mood.RefusesSilently) revert();
        if (mood == Mood.BurnsGas) while (true) {}
        if (mood == Mood.ReturnsMuch) {
            assembly {
                revert(0x1000, 200000)
            }
        }
        if (mood == Mood.Replies) ROUTER.send{value: ROUTER.quote(_reply)}(_reply, address(this));
        if (mood == Mood.Retries) {
            (bool ok,) = address(ROUTER).call(abi.encodeWithSignature("retry(bytes)", abi.encode(envelope)));
            require(!ok, "retried itself");
        }
        ++applied[id];
    }
}
