// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRouter} from "@chainlink/contracts-ccip/contracts/interfaces/IRouter.sol";
import {Vm} from "forge-std/Test.sol";
import {
    CommitReport,
    EVM2EVMMessage,
    ExecutionReport15,
    ExecutionState,
    GasLimitOverride15,
    Interval,
    PriceUpdates
} from "../../src/dev/ccip/CcipMessages.sol";
import {DevCommitStore15} from "../../src/dev/ccip/DevCommitStore15.sol";
import {DevOffRamp} from "../../src/dev/ccip/DevOffRamp.sol";
import {DevOffRamp15} from "../../src/dev/ccip/DevOffRamp15.sol";
import {DevOnRamp15} from "../../src/dev/ccip/DevOnRamp15.sol";
import {CcipLaneFixture} from "./CcipLaneFixture.sol";

contract CcipLane15Test is CcipLaneFixture {
    DevOnRamp15 private onRamp;
    DevCommitStore15 private store;
    DevOffRamp15 private offRamp;
    bytes32[] private none;

    function setUp() public override {
        super.setUp();
        onRamp = new DevOnRamp15(address(here), HERE, THERE, FEE);
        store = new DevCommitStore15();
        offRamp = new DevOffRamp15(IRouter(address(there)), HERE, THERE, address(onRamp), THRESHOLD, store);
        here.setOnRamp(THERE, address(onRamp));
        there.addOffRamp(HERE, address(offRamp));
    }

    /// The id is the leaf: a root of one message is its id.
    function test_a_message_is_committed_under_its_id_and_executed_once() public {
        (bytes32 id, Vm.Log memory log) = send(message(address(receiver), 100_000));
        EVM2EVMMessage memory sent = abi.decode(log.data, (EVM2EVMMessage));
        assertEq(sent.messageId, id);
        store.commit(report(1, id));
        vm.recordLogs();
        offRamp.execute(sent, none, sent.gasLimit);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        Vm.Log memory last = logs[logs.length - 1];
        assertEq(last.topics.length, 3);
        assertEq(last.topics[1], bytes32(uint256(1)));
        assertEq(last.topics[2], id);
        assertTrue(offRamp.getExecutionState(1) == ExecutionState.SUCCESS);
        vm.recordLogs();
        offRamp.execute(sent, none, sent.gasLimit);
        logs = vm.getRecordedLogs();
        assertEq(countOf(logs, DevOffRamp15.SkippedAlreadyExecutedMessage.selector), 1);
        assertEq(receiver.arrived(), 1);
    }

    function test_a_changed_message_is_no_message() public {
        (bytes32 id, Vm.Log memory log) = send(message(address(receiver), 100_000));
        EVM2EVMMessage memory sent = abi.decode(log.data, (EVM2EVMMessage));
        store.commit(report(1, id));
        sent.data = "thirteen";
        vm.expectRevert(DevOffRamp15.InvalidMessageId.selector);
        offRamp.execute(sent, none, sent.gasLimit);
    }

    function test_a_failure_is_retried_by_anyone_through_the_vendors_call() public {
        (bytes32 id, Vm.Log memory log) = send(message(address(receiver), 3_000));
        EVM2EVMMessage memory sent = abi.decode(log.data, (EVM2EVMMessage));
        store.commit(report(1, id));
        offRamp.execute(sent, none, sent.gasLimit);
        assertTrue(offRamp.getExecutionState(1) == ExecutionState.FAILURE);
        ExecutionReport15 memory proven;
        proven.messages = new EVM2EVMMessage[](1);
        proven.messages[0] = sent;
        proven.offchainTokenData = new bytes[][](1);
        GasLimitOverride15[] memory overrides = new GasLimitOverride15[](1);
        vm.startPrank(anyone);
        vm.expectPartialRevert(DevOffRamp.ExecutionError.selector);
        offRamp.manuallyExecute(proven, overrides);
        overrides[0].receiverExecutionGasLimit = 100_000;
        offRamp.manuallyExecute(proven, overrides);
        assertTrue(offRamp.getExecutionState(1) == ExecutionState.SUCCESS);
        assertEq(receiver.arrived(), 1);
    }

    function report(uint64 number, bytes32 root) private pure returns (CommitReport memory) {
        PriceUpdates memory prices;
        return CommitReport(prices, Interval(number, number), root);
    }
}
