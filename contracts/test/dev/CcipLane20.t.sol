// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRouter} from "@chainlink/contracts-ccip/contracts/interfaces/IRouter.sol";
import {Vm} from "forge-std/Test.sol";
import {ExecutionState, Receipt as FeeShare} from "../../src/dev/ccip/CcipMessages.sol";
import {DevOffRamp} from "../../src/dev/ccip/DevOffRamp.sol";
import {DevOffRamp20} from "../../src/dev/ccip/DevOffRamp20.sol";
import {DevOnRamp20} from "../../src/dev/ccip/DevOnRamp20.sol";
import {MessageV1} from "../../src/dev/ccip/MessageV1.sol";
import {CcipLaneFixture} from "./CcipLaneFixture.sol";

contract CcipLane20Test is CcipLaneFixture {
    DevOnRamp20 private onRamp;
    DevOffRamp20 private offRamp;
    Vm.Wallet private verifier;
    address[] private verifiers;

    function setUp() public override {
        super.setUp();
        verifier = vm.createWallet("verifier");
        verifiers.push(verifier.addr);
        onRamp = new DevOnRamp20(address(here), HERE, THERE, FEE, verifier.addr);
        offRamp = new DevOffRamp20(IRouter(address(there)), HERE, THERE, address(onRamp), verifier.addr);
        onRamp.setOffRamp(address(offRamp));
        here.setOnRamp(THERE, address(onRamp));
        there.addOffRamp(HERE, address(offRamp));
    }

    function test_the_id_is_the_hash_of_the_wire_form_and_anyone_executes_it_once() public {
        (bytes32 id, bytes memory wire) = sent();
        assertEq(id, keccak256(wire));
        // 79 bytes and the lengths of four addresses and the data.
        assertEq(wire.length, 79 + 32 + 20 + 32 + 20 + DATA.length);
        bytes memory signature = signed(id);
        vm.recordLogs();
        vm.prank(anyone);
        offRamp.execute(wire, verifiers, results(signature), 0);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        Vm.Log memory last = logs[logs.length - 1];
        assertEq(last.topics.length, 4);
        assertEq(last.topics[2], bytes32(uint256(1)));
        assertEq(last.topics[3], id);
        assertEq(receiver.arrived(), 1);
        vm.expectRevert(abi.encodeWithSelector(DevOffRamp20.NotExecutable.selector, id, ExecutionState.SUCCESS));
        offRamp.execute(wire, verifiers, results(signature), 0);
    }

    /// A wrong call spoils nothing: the message is a FAILURE, and sound.
    function test_a_bad_signature_is_a_failure_that_a_good_one_cures() public {
        (bytes32 id, bytes memory wire) = sent();
        bytes memory signature = signed(keccak256("another"));
        offRamp.execute(wire, verifiers, results(signature), 0);
        assertTrue(offRamp.getExecutionState(id) == ExecutionState.FAILURE);
        bytes memory reason = abi.encodeWithSelector(DevOffRamp20.NotVerified.selector, id);
        vm.expectRevert(abi.encodeWithSelector(DevOffRamp.ExecutionError.selector, id, reason));
        offRamp.execute(wire, verifiers, results(signature), 0);
        offRamp.execute(wire, verifiers, results(signed(id)), 0);
        assertEq(receiver.arrived(), 1);
    }

    function test_bytes_that_are_no_message_are_refused() public {
        (, bytes memory wire) = sent();
        vm.expectRevert(MessageV1.NotAMessage.selector);
        offRamp.execute(abi.encodePacked(wire, "x"), verifiers, results(""), 0);
        wire[0] = 0x02;
        vm.expectRevert(MessageV1.NotAMessage.selector);
        offRamp.execute(wire, verifiers, results(""), 0);
    }

    /// The vendor's rules: as many answers as verifiers, the demanded one among them, and no less gas than was sent.
    function test_an_execution_by_hand_is_checked_as_the_vendors() public {
        (bytes32 id, bytes memory wire) = sent();
        bytes[] memory answers = results(signed(id));
        vm.startPrank(anyone);
        vm.expectRevert(abi.encodeWithSelector(DevOffRamp20.InvalidVerifierResultsLength.selector, 0, 1));
        offRamp.execute(wire, new address[](0), answers, 0);
        vm.expectRevert(abi.encodeWithSelector(DevOffRamp20.InvalidGasLimitOverride.selector, 100_000, 99_999));
        offRamp.execute(wire, verifiers, answers, 99_999);
        offRamp.execute(wire, new address[](0), new bytes[](0), 0);
        assertTrue(offRamp.getExecutionState(id) == ExecutionState.FAILURE);
        assertEq(receiver.arrived(), 0);
        offRamp.execute(wire, verifiers, answers, 200_000);
        assertEq(receiver.arrived(), 1);
    }

    function results(bytes memory signature) private pure returns (bytes[] memory answers) {
        answers = new bytes[](1);
        answers[0] = signature;
    }

    function sent() private returns (bytes32 id, bytes memory wire) {
        Vm.Log memory log;
        (id, log) = send(message(address(receiver), 100_000));
        assertEq(log.topics[3], id);
        (,, bytes memory encoded, FeeShare[] memory receipts, bytes[] memory blobs) =
            abi.decode(log.data, (address, uint256, bytes, FeeShare[], bytes[]));
        assertEq(receipts.length, 1);
        assertEq(receipts[0].feeTokenAmount, FEE);
        assertEq(blobs.length, 1);
        wire = encoded;
    }

    function signed(bytes32 digest) private returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(verifier, digest);
        return abi.encodePacked(r, s, v);
    }
}
