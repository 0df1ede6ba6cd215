// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAxelarGateway} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/interfaces/IAxelarGateway.sol";
import {IAny2EVMMessageReceiver} from "@chainlink/contracts-ccip/contracts/interfaces/IAny2EVMMessageReceiver.sol";
import {IRouterClient} from "@chainlink/contracts-ccip/contracts/interfaces/IRouterClient.sol";
import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {EstimatingGasService} from "./AxelarParts.sol";
import {BridgeFixture} from "./BridgeFixture.sol";
import {RecordingApp} from "./RecordingApp.sol";

/// @notice What leaves one chain arrives on the other, over the bridges' own contracts, in both directions.
contract RoundTripTest is BridgeFixture {
    function test_axelar_from_classic_to_amplifier() public {
        trip(home, away, AXELAR);
    }

    function test_axelar_from_amplifier_to_classic() public {
        trip(away, home, AXELAR);
    }

    function test_ccip_both_ways() public {
        trip(home, away, CCIP);
        trip(away, home, CCIP);
    }

    function test_axelar_is_paid_in_the_sending_transaction_before_the_call() public {
        bytes memory payload = abi.encode(envelopeOf(home, away, 1));
        bytes32 id = keccak256(payload);
        string memory remote = text(address(away.axelar));
        vm.expectEmit(address(home.router));
        emit MessageSent(id, AXELAR, address(home.app), home.router.seq() + 1, payload);
        vm.expectEmit(address(home.gasService));
        emit EstimatingGasService.NativeGasPaidForContractCall(
            address(home.axelar), "arbitrum", remote, id, AXELAR_FEE, alice
        );
        vm.expectEmit(home.gateway);
        emit IAxelarGateway.ContractCall(address(home.axelar), "arbitrum", remote, id, payload);
        send(home, away, AXELAR);
        assertEq(address(home.gasService).balance, AXELAR_FEE);
    }

    function test_ccip_gets_an_encoded_receiver_a_gas_limit_and_any_order() public {
        Client.EVM2AnyMessage memory message = Client.EVM2AnyMessage({
            receiver: abi.encode(address(away.ccip)),
            data: abi.encode(envelopeOf(home, away, 1)),
            tokenAmounts: new Client.EVMTokenAmount[](0),
            feeToken: address(0),
            extraArgs: abi.encodeWithSelector(bytes4(0x181dcf10), uint256(GAS_LIMIT), true)
        });
        vm.expectCall(
            address(home.ccipRouter), CCIP_FEE, abi.encodeCall(IRouterClient.ccipSend, (away.selector, message))
        );
        send(home, away, CCIP);
        assertEq(address(home.ccipRouter).balance, CCIP_FEE);
    }

    function test_ccip_finds_the_receiver_by_erc165() public view {
        assertTrue(away.ccip.supportsInterface(type(IAny2EVMMessageReceiver).interfaceId));
        assertTrue(away.ccip.supportsInterface(type(IERC165).interfaceId));
        assertFalse(away.ccip.supportsInterface(0xffffffff));
    }

    function test_an_application_may_send_while_it_receives() public {
        bytes memory payload = send(home, away, AXELAR);
        on(away);
        away.app.setReply(outbound(AXELAR, home));
        away.app.setMood(RecordingApp.Mood.Replies);
        vm.deal(address(away.app), AXELAR_FEE);
        uint64 seq = away.router.seq();
        bytes memory reply = abi.encode(envelopeOf(away, home, 1));
        Delivery memory delivery = ready(home, away, AXELAR, payload);
        vm.expectEmit(address(away.router));
        emit MessageSent(keccak256(reply), AXELAR, address(away.app), seq + 1, reply);
        vm.expectEmit(address(away.router));
        emit MessageReceived(keccak256(payload), AXELAR, address(away.app), seq + 2, payload);
        run(delivery);
        deliver(away, home, AXELAR, reply);
        assertEq(home.app.applied(keccak256(reply)), 1);
    }

    function trip(Side storage from, Side storage to, bytes32 bridge) private {
        bytes memory payload = send(from, to, bridge);
        bytes32 id = keccak256(payload);
        Delivery memory delivery = ready(from, to, bridge, payload);
        vm.expectEmit(address(to.router));
        emit MessageReceived(id, bridge, address(to.app), to.router.seq() + 1, payload);
        run(delivery);
        assertEq(to.app.applied(id), 1);
        assertTrue(to.router.processed(id));
        assertEq(to.router.storedFrom(id), address(0));
    }
}
