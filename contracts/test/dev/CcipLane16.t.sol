// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRouter} from "@chainlink/contracts-ccip/contracts/interfaces/IRouter.sol";
import {IRouterClient} from "@chainlink/contracts-ccip/contracts/interfaces/IRouterClient.sol";
import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {Internal} from "@chainlink/contracts-ccip/contracts/libraries/Internal.sol";
import {Vm} from "forge-std/Test.sol";
import {DevAxelarGateway} from "../../src/dev/axelar/DevAxelarGateway.sol";
import {DevReceiver} from "../../src/dev/DevReceiver.sol";
import {
    Any2EVMRampMessage,
    Any2EVMTokenTransfer,
    EVM2AnyRampMessage,
    ExecutionReport16,
    ExecutionState,
    GasLimitOverride16,
    MerkleRoot
} from "../../src/dev/ccip/CcipMessages.sol";
import {DevCommittedOffRamp} from "../../src/dev/ccip/DevCommittedOffRamp.sol";
import {DevOffRamp} from "../../src/dev/ccip/DevOffRamp.sol";
import {DevOffRamp16} from "../../src/dev/ccip/DevOffRamp16.sol";
import {DevCcipRouter} from "../../src/dev/ccip/DevCcipRouter.sol";
import {DevOnRamp} from "../../src/dev/ccip/DevOnRamp.sol";
import {DevOnRamp16} from "../../src/dev/ccip/DevOnRamp16.sol";
import {CcipLaneFixture} from "./CcipLaneFixture.sol";

/// @notice A 1.6 lane, whose rules of execution 1.5 shares.
contract CcipLane16Test is CcipLaneFixture {
    DevOnRamp16 private onRamp;
    DevOffRamp16 private offRamp;
    bytes32[] private none;

    function setUp() public override {
        super.setUp();
        onRamp = new DevOnRamp16(address(here), HERE, THERE, FEE);
        offRamp = new DevOffRamp16(IRouter(address(there)), HERE, THERE, address(onRamp), THRESHOLD);
        here.setOnRamp(THERE, address(onRamp));
        there.addOffRamp(HERE, address(offRamp));
    }

    /// Ids, leaves and wire forms are the vendor's: its own library decodes and hashes what ours emitted.
    function test_id_and_leaf_are_the_vendors() public {
        (bytes32 id, Vm.Log memory log) = send(message(address(receiver), 100_000));
        Internal.EVM2AnyRampMessage memory theirs = abi.decode(log.data, (Internal.EVM2AnyRampMessage));
        theirs.header.messageId = bytes32(0);
        bytes32 lane = keccak256(abi.encode(Internal.EVM_2_ANY_MESSAGE_HASH, HERE, THERE, address(onRamp)));
        assertEq(id, Internal._hash(theirs, lane));

        Any2EVMRampMessage memory arrival = arrivalOf(log, 100_000);
        lane =
            keccak256(abi.encode(Internal.ANY_2_EVM_MESSAGE_HASH, HERE, THERE, keccak256(abi.encode(address(onRamp)))));
        bytes32 leaf = Internal._hash(abi.decode(abi.encode(arrival), (Internal.Any2EVMRampMessage)), lane);
        commit(1, 1, leaf); // an execution under this root proves that ours is the same
        vm.recordLogs();
        offRamp.execute(arrival, none, 100_000);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        Vm.Log memory last = logs[logs.length - 1];
        assertEq(last.topics.length, 4);
        assertEq(last.topics[3], id);
        assertEq(abi.decode(last.data, (bytes32)), leaf);
        assertEq(receiver.arrived(), 1);
        assertEq(countOf(logs, DevCcipRouter.MessageExecuted.selector), 1);
    }

    function test_two_messages_under_one_root_each_with_its_sibling() public {
        (Any2EVMRampMessage memory first, bytes32 a) = sentArrival(100_000);
        (Any2EVMRampMessage memory second, bytes32 b) = sentArrival(100_000);
        (bytes32 lower, bytes32 higher) = a < b ? (a, b) : (b, a);
        commit(1, 2, keccak256(abi.encode(uint256(1), lower, higher)));
        bytes32[] memory sibling = new bytes32[](1);
        sibling[0] = a;
        offRamp.execute(second, sibling, 100_000); // out of order is legal
        sibling[0] = b;
        offRamp.execute(first, sibling, 100_000);
        assertEq(receiver.arrived(), 2);
        vm.expectRevert(DevCommittedOffRamp.RootNotCommitted.selector);
        offRamp.execute(first, none, 100_000);
    }

    function test_a_failure_is_kept_and_anyone_may_retry_until_it_succeeds() public {
        (Any2EVMRampMessage memory arrival, bytes32 leaf) = sentArrival(100_000);
        commit(1, 1, leaf);
        receiver.setBroken(true);
        offRamp.execute(arrival, none, 100_000);
        assertTrue(offRamp.getExecutionState(HERE, 1) == ExecutionState.FAILURE);

        vm.recordLogs();
        offRamp.execute(arrival, none, 100_000); // the network does not try twice
        assertEq(countOf(vm.getRecordedLogs(), DevOffRamp16.AlreadyAttempted.selector), 1);

        vm.startPrank(anyone);
        bytes memory broken = abi.encodeWithSelector(DevReceiver.Broken.selector);
        broken = abi.encodeWithSelector(DevOffRamp.ReceiverError.selector, broken);
        vm.expectRevert(abi.encodeWithSelector(DevOffRamp.ExecutionError.selector, arrival.header.messageId, broken));
        byHand(arrival, 0);
        receiver.setBroken(false);
        byHand(arrival, 0);
        assertTrue(offRamp.getExecutionState(HERE, 1) == ExecutionState.SUCCESS);
        vm.recordLogs();
        byHand(arrival, 0);
        assertEq(countOf(vm.getRecordedLogs(), DevOffRamp16.SkippedAlreadyExecutedMessage.selector), 1);
        assertEq(receiver.arrived(), 1);
    }

    function test_too_little_gas_is_a_failure_that_more_gas_cures() public {
        (Any2EVMRampMessage memory arrival, bytes32 leaf) = sentArrival(3_000);
        commit(1, 1, leaf);
        offRamp.execute(arrival, none, 3_000);
        assertTrue(offRamp.getExecutionState(HERE, 1) == ExecutionState.FAILURE);
        vm.startPrank(anyone);
        vm.expectRevert(
            abi.encodeWithSelector(
                DevCommittedOffRamp.InvalidManualExecutionGasLimit.selector, arrival.header.messageId, 2_999
            )
        );
        byHand(arrival, 2_999);
        byHand(arrival, 100_000);
        assertEq(receiver.arrived(), 1);
    }

    function test_an_execution_by_hand_takes_one_message() public {
        (Any2EVMRampMessage memory arrival, bytes32 leaf) = sentArrival(100_000);
        commit(1, 1, leaf);
        (ExecutionReport16[] memory reports, GasLimitOverride16[][] memory overrides) = handed(arrival, 0);
        reports[0].proofFlagBits = 1;
        vm.expectRevert(DevCommittedOffRamp.OneMessageAtATime.selector);
        offRamp.manuallyExecute(reports, overrides);
        vm.expectRevert(DevCommittedOffRamp.ManualExecutionGasLimitMismatch.selector);
        offRamp.manuallyExecute(reports, new GasLimitOverride16[][](0));
    }

    function test_an_untouched_message_is_anyones_after_the_threshold_only() public {
        (Any2EVMRampMessage memory arrival, bytes32 leaf) = sentArrival(100_000);
        commit(1, 1, leaf);
        vm.startPrank(anyone);
        vm.warp(block.timestamp + THRESHOLD);
        vm.expectRevert(DevCommittedOffRamp.ManualExecutionNotYetEnabled.selector);
        byHand(arrival, 0);
        vm.warp(block.timestamp + 1);
        byHand(arrival, 0);
        assertEq(receiver.arrived(), 1);
        vm.expectRevert(abi.encodeWithSelector(DevCommittedOffRamp.NotNetwork.selector, anyone));
        offRamp.execute(arrival, none, 0);
    }

    /// Success without a call: a receiver that does not answer ERC-165, or has no code.
    function test_who_does_not_answer_is_passed_over_with_success() public {
        address[2] memory deaf = [address(new DevAxelarGateway()), makeAddr("no code")];
        for (uint64 k = 0; k < 2; ++k) {
            (, Vm.Log memory log) = send(message(deaf[k], 100_000));
            Any2EVMRampMessage memory arrival = arrivalOf(log, 100_000);
            arrival.receiver = deaf[k];
            commit(k + 1, k + 1, leafOf(arrival));
            vm.recordLogs();
            offRamp.execute(arrival, none, 100_000);
            assertTrue(offRamp.getExecutionState(HERE, k + 1) == ExecutionState.SUCCESS);
            assertEq(countOf(vm.getRecordedLogs(), DevCcipRouter.MessageExecuted.selector), 0);
        }
    }

    function test_commits_follow_each_other_without_a_gap() public {
        commit(1, 3, "root");
        vm.expectRevert(abi.encodeWithSelector(DevOffRamp16.InvalidInterval.selector, 4, 5, 5));
        commit(5, 5, "other");
        vm.expectRevert(DevOffRamp16.InvalidRoot.selector);
        commit(4, 4, "root");
    }

    function test_under_a_withdrawn_root_nothing_is_executed_and_its_numbers_are_free() public {
        (Any2EVMRampMessage memory arrival, bytes32 leaf) = sentArrival(100_000);
        commit(1, 1, leaf);
        vm.prank(anyone);
        vm.expectRevert(abi.encodeWithSelector(DevCommittedOffRamp.NotNetwork.selector, anyone));
        offRamp.removeRoot(leaf, 1);
        offRamp.removeRoot(leaf, 1);
        vm.expectRevert(DevCommittedOffRamp.RootNotCommitted.selector);
        offRamp.execute(arrival, none, 100_000);
        commit(1, 1, leaf);
        offRamp.execute(arrival, none, 100_000);
        assertEq(receiver.arrived(), 1);
    }

    function test_the_router_refuses_what_the_vendors_refuses() public {
        Client.EVM2AnyMessage memory sent = message(address(receiver), 100_000);
        vm.expectRevert(IRouterClient.InsufficientFeeTokenAmount.selector);
        here.ccipSend{value: FEE - 1}(THERE, sent);
        vm.expectRevert(abi.encodeWithSelector(IRouterClient.UnsupportedDestinationChain.selector, HERE));
        here.ccipSend{value: FEE}(HERE, sent);
        sent.receiver = abi.encodePacked(address(receiver));
        vm.expectRevert(abi.encodeWithSelector(DevOnRamp.InvalidEVMAddress.selector, sent.receiver));
        here.getFee(THERE, sent);
        sent.receiver = abi.encode(address(1_023));
        vm.expectRevert(abi.encodeWithSelector(DevOnRamp.InvalidEVMAddress.selector, sent.receiver));
        here.getFee(THERE, sent);
        Client.Any2EVMMessage memory forged;
        vm.expectRevert(IRouter.OnlyOffRamp.selector);
        there.routeMessage(forged, 0, 0, address(receiver));
    }

    function sentArrival(uint256 gasLimit) private returns (Any2EVMRampMessage memory arrival, bytes32 leaf) {
        (, Vm.Log memory log) = send(message(address(receiver), gasLimit));
        arrival = arrivalOf(log, gasLimit);
        leaf = leafOf(arrival);
    }

    function arrivalOf(Vm.Log memory log, uint256 gasLimit) private view returns (Any2EVMRampMessage memory) {
        EVM2AnyRampMessage memory sent = abi.decode(log.data, (EVM2AnyRampMessage));
        return Any2EVMRampMessage(
            sent.header, abi.encode(sent.sender), sent.data, address(receiver), gasLimit, new Any2EVMTokenTransfer[](0)
        );
    }

    function leafOf(Any2EVMRampMessage memory arrival) private view returns (bytes32) {
        bytes32 ramp = keccak256(abi.encode(address(onRamp)));
        bytes32 lane = keccak256(abi.encode(Internal.ANY_2_EVM_MESSAGE_HASH, HERE, THERE, ramp));
        return Internal._hash(abi.decode(abi.encode(arrival), (Internal.Any2EVMRampMessage)), lane);
    }

    function byHand(Any2EVMRampMessage memory arrival, uint256 newLimit) private {
        (ExecutionReport16[] memory reports, GasLimitOverride16[][] memory overrides) = handed(arrival, newLimit);
        offRamp.manuallyExecute(reports, overrides);
    }

    function handed(Any2EVMRampMessage memory arrival, uint256 newLimit)
        private
        pure
        returns (ExecutionReport16[] memory reports, GasLimitOverride16[][] memory overrides)
    {
        reports = new ExecutionReport16[](1);
        reports[0].sourceChainSelector = HERE;
        reports[0].messages = new Any2EVMRampMessage[](1);
        reports[0].messages[0] = arrival;
        reports[0].offchainTokenData = new bytes[][](1);
        overrides = new GasLimitOverride16[][](1);
        overrides[0] = new GasLimitOverride16[](1);
        overrides[0][0].receiverExecutionGasLimit = newLimit;
    }

    function commit(uint64 min, uint64 max, bytes32 root) private {
        offRamp.commit(MerkleRoot(HERE, abi.encode(address(onRamp)), min, max, root));
    }
}
