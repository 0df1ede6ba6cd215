// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BridgeAdapter} from "../../src/bridge/BridgeAdapter.sol";
import {BridgeInbox} from "../../src/bridge/BridgeInbox.sol";
import {BridgeRegistry} from "../../src/bridge/BridgeRegistry.sol";
import {BridgeRouter} from "../../src/bridge/BridgeRouter.sol";
import {BridgeFixture} from "./BridgeFixture.sol";

/// @notice A message that its bridge lost is handed to a bridge once more, by anybody, and is applied once.
contract ResendTest is BridgeFixture {
    address private stranger = makeAddr("stranger");

    function test_what_one_bridge_lost_another_carries() public {
        bytes memory payload = send(home, away, CCIP);
        vm.expectEmit(address(home.gateway));
        emit ContractCall(address(home.axelar), away.name, text(address(away.axelar)), keccak256(payload), payload);
        resend(payload, AXELAR, AXELAR_FEE);
        deliver(home, away, AXELAR, payload);
        assertEq(away.app.applied(keccak256(payload)), 1);
    }

    function test_the_same_bridge_carries_it_again() public {
        bytes memory payload = send(home, away, CCIP);
        uint256 paid = address(home.ccipRouter).balance;
        // CCIP's router mock delivers within the sending transaction, and both chains are one here
        vm.etch(address(away.ccip), "");
        resend(payload, CCIP, CCIP_FEE);
        assertEq(address(home.ccipRouter).balance, paid + CCIP_FEE);
    }

    function test_it_is_told_under_the_id_it_had_and_takes_no_new_nonce() public {
        bytes memory payload = send(home, away, CCIP);
        vm.expectEmit(address(home.router));
        emit MessageResent(keccak256(payload), AXELAR, stranger, home.router.seq() + 1);
        resend(payload, AXELAR, AXELAR_FEE);
        assertEq(home.router.nonce(), 1);
    }

    function test_the_delivery_after_the_first_is_refused_as_a_replay() public {
        bytes memory payload = send(home, away, AXELAR);
        resend(payload, AXELAR, AXELAR_FEE);
        deliver(home, away, AXELAR, payload);
        bytes32 id = keccak256(payload);
        bytes memory replay = abi.encodeWithSelector(BridgeInbox.AlreadyProcessed.selector, id);
        Delivery memory second = ready(home, away, AXELAR, payload);
        vm.expectEmit(address(away.router));
        emit MessageRefused(id, AXELAR, away.router.seq() + 1, home.id, payload, replay);
        run(second);
        assertEq(away.app.applied(id), 1);
        assertEq(away.app.calls(), 1);
    }

    /// Not what another router sent, not what arrived here, not what nobody sent, not a byte of difference.
    function test_only_what_this_router_sent() public {
        bytes memory payload = send(home, away, AXELAR);
        on(away);
        assertNotSent(away, payload);
        deliver(home, away, AXELAR, payload);
        assertNotSent(away, payload);
        on(home);
        assertNotSent(home, abi.encode(envelopeOf(home, away, 2)));
        assertNotSent(home, bytes.concat(payload, hex"00"));
        assertNotSent(home, "");
    }

    function test_not_over_a_paused_or_unknown_bridge() public {
        bytes memory payload = send(home, away, AXELAR);
        vm.prank(guardian);
        home.router.pause(AXELAR, 1);
        vm.expectRevert(abi.encodeWithSelector(BridgeRegistry.BridgePaused.selector, AXELAR, 1));
        home.router.resend(payload, AXELAR, stranger);
        vm.expectRevert(abi.encodeWithSelector(BridgeRegistry.UnknownBridge.selector, bytes32("wormhole")));
        home.router.resend(payload, "wormhole", stranger);
        vm.prank(registrar);
        home.router.unpause(AXELAR, 1);
        resend(payload, AXELAR, AXELAR_FEE);
    }

    /// An application that was taken from the registry sends nothing new; what it sent may still arrive, and the
    /// destination's own registry decides of it.
    function test_what_a_removed_application_sent_can_still_be_resent() public {
        bytes memory payload = send(home, away, CCIP);
        vm.prank(registrar);
        home.router.setApp(address(home.app), away.id, address(0));
        resend(payload, AXELAR, AXELAR_FEE);
        deliver(home, away, AXELAR, payload);
        assertEq(away.app.calls(), 1);
    }

    function test_who_resends_pays_the_bridge_and_gets_the_surplus() public {
        bytes memory payload = send(home, away, AXELAR);
        vm.expectRevert(abi.encodeWithSelector(BridgeAdapter.FeeTooLow.selector, AXELAR_FEE, AXELAR_FEE - 1));
        home.router.resend{value: AXELAR_FEE - 1}(payload, AXELAR, stranger);
        resend(payload, AXELAR, home.axelar.quote(away.id, payload) + 1 ether);
        assertEq(stranger.balance, 1 ether);
        assertEq(address(home.gasService).balance, 2 * AXELAR_FEE);
    }

    /// The surplus would be nobody's.
    function test_a_refund_to_nobody_is_refused() public {
        vm.expectRevert(BridgeRouter.NoRefundTo.selector);
        home.app.send{value: 1 ether}(outbound(AXELAR, away), address(0));
        bytes memory payload = send(home, away, AXELAR);
        vm.expectRevert(BridgeRouter.NoRefundTo.selector);
        home.router.resend{value: 1 ether}(payload, AXELAR, address(0));
    }

    function resend(bytes memory payload, bytes32 bridge, uint256 value) private {
        on(home);
        vm.deal(stranger, value);
        vm.prank(stranger);
        home.router.resend{value: value}(payload, bridge, stranger);
    }

    function assertNotSent(Side storage from, bytes memory payload) private {
        vm.expectRevert(abi.encodeWithSelector(BridgeRouter.NotSent.selector, keccak256(payload)));
        from.router.resend(payload, AXELAR, stranger);
    }

    event ContractCall(
        address indexed sender, string destinationChain, string destination, bytes32 indexed payloadHash, bytes payload
    );
}
