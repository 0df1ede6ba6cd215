// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAxelarExecutable} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/interfaces/IAxelarExecutable.sol";
import {IAxelarGasService} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/interfaces/IAxelarGasService.sol";
import {Message} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/types/AmplifierGatewayTypes.sol";
import {Test, Vm} from "forge-std/Test.sol";
import {DevAmplifierGateway} from "../../src/dev/axelar/DevAmplifierGateway.sol";
import {DevAxelarGateway} from "../../src/dev/axelar/DevAxelarGateway.sol";
import {DevGasService} from "../../src/dev/axelar/DevGasService.sol";
import {DevReceiver} from "../../src/dev/DevReceiver.sol";

contract AxelarDevTest is Test {
    DevAxelarGateway private gateway = new DevAxelarGateway();
    DevAmplifierGateway private amplifier = new DevAmplifierGateway();
    DevGasService private gas = new DevGasService(0.01 ether);
    DevReceiver private receiver = new DevReceiver(address(gateway), address(1));
    address private anyone = makeAddr("anyone");
    bytes32 private constant COMMAND = "command";
    bytes private constant PAYLOAD = "payload";

    receive() external payable {}

    /// Approved once, used once, by the named contract alone: with the events of each step.
    function test_an_approval_serves_one_execution() public {
        vm.recordLogs();
        gateway.approve(COMMAND, approval(address(receiver)));
        gateway.approve(COMMAND, approval(address(receiver))); // says nothing
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 2);
        assertEq(logs[0].topics[0], DevAxelarGateway.ContractCallApproved.selector);
        assertEq(logs[0].topics.length, 4);
        assertEq(logs[1].topics[0], DevAxelarGateway.Executed.selector);

        vm.recordLogs();
        receiver.execute(COMMAND, "a", "0x1", PAYLOAD);
        assertEq(vm.getRecordedLogs()[0].topics[0], DevAxelarGateway.ContractCallExecuted.selector);
        vm.expectRevert(IAxelarExecutable.NotApprovedByGateway.selector);
        receiver.execute(COMMAND, "a", "0x1", PAYLOAD);
        assertEq(receiver.arrived(), 1);
    }

    function test_a_failed_execution_leaves_the_approval() public {
        gateway.approve(COMMAND, approval(address(receiver)));
        receiver.setBroken(true);
        vm.expectRevert(DevReceiver.Broken.selector);
        receiver.execute(COMMAND, "a", "0x1", PAYLOAD);
        receiver.setBroken(false);
        vm.prank(anyone);
        receiver.execute(COMMAND, "a", "0x1", PAYLOAD);
        assertEq(receiver.arrived(), 1);
    }

    function test_only_the_relayer_approves() public {
        vm.startPrank(anyone);
        vm.expectRevert(abi.encodeWithSelector(DevAxelarGateway.NotRelayer.selector, anyone));
        gateway.approve(COMMAND, approval(address(receiver)));
        vm.expectRevert(abi.encodeWithSelector(DevAmplifierGateway.NotRelayer.selector, anyone));
        amplifier.approveMessages(new Message[](1));
    }

    function test_the_amplifier_is_executed_only_when_it_was() public {
        Message[] memory messages = new Message[](1);
        messages[0] = Message("a", "0xab-0", "0x1", address(this), keccak256(PAYLOAD));
        amplifier.approveMessages(messages);
        assertTrue(amplifier.isMessageApproved("a", "0xab-0", "0x1", address(this), keccak256(PAYLOAD)));
        assertFalse(amplifier.isMessageExecuted("a", "0xab-0"));
        assertTrue(amplifier.validateMessage("a", "0xab-0", "0x1", keccak256(PAYLOAD)));
        assertTrue(amplifier.isMessageExecuted("a", "0xab-0"));
    }

    /// Too little is told, not refused, unless the payer asked to have it checked.
    function test_an_underpayment_is_visible() public {
        vm.expectEmit(address(gas));
        emit IAxelarGasService.NativeGasPaidForContractCall(anyone, "b", "0x2", keccak256(PAYLOAD), 1, address(this));
        gas.payNativeGasForContractCall{value: 1}(anyone, "b", "0x2", PAYLOAD, address(this));
        vm.expectRevert(
            abi.encodeWithSelector(IAxelarGasService.InsufficientGasPayment.selector, 0.01 ether, 0.01 ether - 1)
        );
        gas.payGas{value: 0.01 ether - 1}(anyone, "b", "0x2", PAYLOAD, 0, true, address(this), "");
        assertEq(gas.estimateGasFee("b", "0x2", PAYLOAD, 1, ""), 0.01 ether);
        uint256 before = address(this).balance;
        gas.refund(COMMAND, 0, payable(address(this)), address(0), 1);
        assertEq(address(this).balance, before + 1);
        vm.prank(anyone);
        vm.expectRevert(IAxelarGasService.NotCollector.selector);
        gas.refund(COMMAND, 0, payable(anyone), address(0), 1);
    }

    function approval(address to) private pure returns (DevAxelarGateway.Approval memory) {
        return DevAxelarGateway.Approval("a", "0x1", to, keccak256(PAYLOAD), "tx", 3);
    }
}
