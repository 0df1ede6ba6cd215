// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {GasInfo} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/types/GasEstimationTypes.sol";
import {BridgeAdapter} from "../../src/bridge/BridgeAdapter.sol";
import {BridgeRegistry} from "../../src/bridge/BridgeRegistry.sol";
import {Outbound} from "../../src/bridge/IBridgeRouter.sol";
import {BridgeFixture} from "./BridgeFixture.sol";

/// @notice What may leave, and what it costs: the bridge gets its fee exactly, the sender the rest.
contract OutboundTest is BridgeFixture {
    // -- What may leave -----------------------------------------------------------------------------------------------

    function test_nothing_leaves_over_a_paused_bridge() public {
        vm.prank(guardian);
        home.router.pause(AXELAR, 1);
        vm.expectRevert(abi.encodeWithSelector(BridgeRegistry.BridgePaused.selector, AXELAR, 1));
        home.app.send(outbound(AXELAR, away), alice);
        assertEq(home.router.nonce(), 0);
        send(home, away, CCIP);
        deliver(away, home, AXELAR, send(away, home, AXELAR));
        assertEq(home.app.calls(), 1);
        vm.prank(registrar);
        home.router.unpause(AXELAR, 1);
        send(home, away, AXELAR);
    }

    function test_only_a_registered_application_sends_and_to_its_peer_only() public {
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(BridgeRegistry.UnknownApp.selector, alice, away.id));
        home.router.send(outbound(AXELAR, away), alice);
        Outbound memory message = outbound(AXELAR, away);
        message.dstChainId = 10;
        vm.expectRevert(abi.encodeWithSelector(BridgeRegistry.UnknownApp.selector, address(home.app), 10));
        home.app.send(message, alice);
    }

    function test_an_unknown_or_removed_bridge_carries_nothing() public {
        assertUnknown("wormhole");
        vm.prank(registrar);
        home.router.setBridge(AXELAR, address(0));
        assertUnknown(AXELAR);
    }

    function assertUnknown(bytes32 bridge) private {
        bytes memory unknown = abi.encodeWithSelector(BridgeRegistry.UnknownBridge.selector, bridge);
        vm.expectRevert(unknown);
        home.app.send(outbound(bridge, away), alice);
        vm.expectRevert(unknown);
        home.app.quote(outbound(bridge, away));
    }

    // -- What it costs ------------------------------------------------------------------------------------------------

    function test_less_than_the_fee_is_refused() public {
        assertTooLow(AXELAR, AXELAR_FEE);
        assertTooLow(CCIP, CCIP_FEE);
    }

    function test_a_surplus_returns_and_the_bridge_keeps_its_fee() public {
        address receiver = makeAddr("receiver of refunds");
        overpay(AXELAR, AXELAR_FEE, receiver);
        assertEq(address(home.gasService).balance, AXELAR_FEE);
        assertEq(receiver.balance, 1 ether);
        overpay(CCIP, CCIP_FEE, receiver);
        assertEq(address(home.ccipRouter).balance, CCIP_FEE);
        assertEq(receiver.balance, 2 ether);
        assertEq(address(home.axelar).balance + address(home.ccip).balance, 0);
    }

    /// This contract takes no native currency.
    function test_a_surplus_that_nobody_takes_waits_for_its_claim() public {
        uint64 seq = home.axelar.seq();
        vm.expectEmit(address(home.axelar));
        emit BridgeAdapter.RefundStored(address(this), 1 ether, 1 ether, seq + 1);
        overpay(AXELAR, AXELAR_FEE, address(this));
        vm.expectEmit(address(home.axelar));
        emit BridgeAdapter.RefundStored(address(this), 1 ether, 2 ether, seq + 2);
        overpay(AXELAR, AXELAR_FEE, address(this));
        assertEq(address(home.axelar).balance, 2 ether);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(BridgeAdapter.NoRefund.selector, alice));
        home.axelar.claimRefund(alice);
        uint256 before = alice.balance;
        vm.expectEmit(address(home.axelar));
        emit BridgeAdapter.RefundClaimed(address(this), alice, 2 ether, seq + 3);
        home.axelar.claimRefund(alice);
        assertEq(alice.balance - before, 2 ether);
        vm.expectRevert(abi.encodeWithSelector(BridgeAdapter.NoRefund.selector, address(this)));
        home.axelar.claimRefund(alice);
    }

    /// A chain that the gas service has no price for: the message would be stuck unpaid.
    function test_no_fee_is_no_quote() public {
        home.gasService.setGasInfo(away.name, GasInfo(0, 0, 0, 0, 0, 0));
        bytes memory none = abi.encodeWithSelector(BridgeAdapter.NoFeeQuoted.selector, away.id);
        vm.expectRevert(none);
        home.app.quote(outbound(AXELAR, away));
        vm.expectRevert(none);
        home.app.send(outbound(AXELAR, away), alice);
    }

    function assertTooLow(bytes32 bridge, uint256 fee) private {
        assertEq(home.app.quote(outbound(bridge, away)), fee);
        vm.deal(alice, fee);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(BridgeAdapter.FeeTooLow.selector, fee, fee - 1));
        home.app.send{value: fee - 1}(outbound(bridge, away), alice);
    }

    /// @dev By one ether. CCIP's router mock would call the receiver at once, so there is none.
    function overpay(bytes32 bridge, uint256 fee, address refundTo) private {
        vm.etch(address(away.ccip), "");
        vm.deal(alice, fee + 1 ether);
        vm.prank(alice);
        home.app.send{value: fee + 1 ether}(outbound(bridge, away), refundTo);
    }
}
