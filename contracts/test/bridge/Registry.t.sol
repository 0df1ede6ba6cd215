// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BridgeRegistry} from "../../src/bridge/BridgeRegistry.sol";
import {BridgeFixture} from "./BridgeFixture.sol";

/// @notice What the router's registry tells of its changes, and what it does not take.
contract RegistryTest is BridgeFixture {
    // -- Bridges ------------------------------------------------------------------------------------------------------

    function test_a_bridge_changes_hands_and_both_are_told() public {
        address next = address(new Code());
        expectBridgeChanged(address(home.axelar), next);
        set(AXELAR, next);
        assertEq(home.router.adapterOf(AXELAR), next);
        assertEq(home.router.bridgeOf(next), AXELAR);
        assertEq(home.router.bridgeOf(address(home.axelar)), 0, "the old one speaks for nobody");
        expectBridgeChanged(next, address(0));
        set(AXELAR, address(0));
        assertEq(home.router.adapterOf(AXELAR), address(0));
        assertEq(home.router.bridgeOf(next), 0);
        assertEq(home.router.bridgeOf(address(0)), 0);
        expectBridgeChanged(address(0), address(home.axelar));
        set(AXELAR, address(home.axelar));
    }

    function test_an_adapter_serves_one_bridge() public {
        assertRefused(CCIP, address(home.axelar), taken(AXELAR));
        assertRefused("third", address(home.axelar), taken(AXELAR));
        assertRefused(AXELAR, address(home.axelar), taken(AXELAR));
        set(AXELAR, address(0));
        set("third", address(home.axelar));
        assertRefused(AXELAR, address(home.axelar), taken("third"));
    }

    function test_a_bridge_has_a_name_and_its_adapter_has_code() public {
        bytes memory noCode = abi.encodeWithSelector(BridgeRegistry.NoCode.selector, alice);
        assertRefused("third", alice, noCode);
        bytes memory unknown = abi.encodeWithSelector(BridgeRegistry.UnknownBridge.selector, bytes32(0));
        assertRefused(0, address(home.axelar), unknown);
    }

    // -- Applications -------------------------------------------------------------------------------------------------

    function test_a_peer_application_changes_and_both_are_told() public {
        address app = address(home.app);
        expectAppChanged(app, 10, address(0), alice);
        setApp(app, 10, alice);
        assertEq(home.router.remoteAppOf(app, 10), alice);
        assertEq(home.router.remoteAppOf(app, away.id), address(away.app), "of one chain");
        expectAppChanged(app, 10, alice, address(0));
        setApp(app, 10, address(0));
        assertEq(home.router.remoteAppOf(app, 10), address(0));
    }

    /// One that destroyed itself can still be removed.
    function test_an_application_has_code_unless_it_is_removed() public {
        vm.prank(registrar);
        vm.expectRevert(abi.encodeWithSelector(BridgeRegistry.NoCode.selector, alice));
        home.router.setApp(alice, away.id, address(away.app));
        expectAppChanged(alice, away.id, address(0), address(0));
        setApp(alice, away.id, address(0));
    }

    // -- Pauses -------------------------------------------------------------------------------------------------------

    function test_each_pause_is_of_one_bridge_and_adds_its_direction() public {
        assertPause(AXELAR, 1, 0, 1);
        assertPause(AXELAR, 2, 1, 3);
        assertPause(CCIP, 2, 0, 2);
        assertPause(CCIP, 2, 2, 2);
        assertEq(home.router.pauseFlagsOf(AXELAR), 3);
        assertUnpause(AXELAR, 1, 3, 2);
        assertUnpause(AXELAR, 2, 2, 0);
        assertEq(home.router.pauseFlagsOf(CCIP), 2, "the other bridge's own");
        assertUnpause(CCIP, 3, 2, 0);
    }

    function test_a_bridge_that_is_not_there_is_not_paused() public {
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(BridgeRegistry.UnknownBridge.selector, bytes32("third")));
        home.router.pause("third", 1);
    }

    /// Or a compromised bridge would come back open by being registered again.
    function test_a_pause_outlives_the_registration() public {
        assertPause(AXELAR, 3, 0, 3);
        set(AXELAR, address(0));
        set(AXELAR, address(home.axelar));
        assertEq(home.router.pauseFlagsOf(AXELAR), 3);
    }

    // -- Steps --------------------------------------------------------------------------------------------------------

    function set(bytes32 bridge, address adapter) private {
        vm.prank(registrar);
        home.router.setBridge(bridge, adapter);
    }

    function setApp(address app, uint64 chainId, address remote) private {
        vm.prank(registrar);
        home.router.setApp(app, chainId, remote);
    }

    function expectBridgeChanged(address oldAdapter, address newAdapter) private {
        vm.expectEmit(address(home.router));
        emit BridgeRegistry.BridgeChanged(AXELAR, oldAdapter, newAdapter, home.router.seq() + 1);
    }

    function expectAppChanged(address app, uint64 chainId, address oldRemote, address newRemote) private {
        vm.expectEmit(address(home.router));
        emit BridgeRegistry.AppChanged(app, chainId, oldRemote, newRemote, home.router.seq() + 1);
    }

    function assertPause(bytes32 bridge, uint8 flags, uint8 oldFlags, uint8 newFlags) private {
        vm.expectEmit(address(home.router));
        emit BridgeRegistry.PauseChanged(bridge, oldFlags, newFlags, guardian, home.router.seq() + 1);
        vm.prank(guardian);
        home.router.pause(bridge, flags);
    }

    function assertUnpause(bytes32 bridge, uint8 flags, uint8 oldFlags, uint8 newFlags) private {
        vm.expectEmit(address(home.router));
        emit BridgeRegistry.PauseChanged(bridge, oldFlags, newFlags, registrar, home.router.seq() + 1);
        vm.prank(registrar);
        home.router.unpause(bridge, flags);
    }

    function taken(bytes32 by) private view returns (bytes memory) {
        return abi.encodeWithSelector(BridgeRegistry.BridgeTaken.selector, by, address(home.axelar));
    }

    function assertRefused(bytes32 bridge, address adapter, bytes memory why) private {
        vm.prank(registrar);
        vm.expectRevert(why);
        home.router.setBridge(bridge, adapter);
    }
}

contract Code {}
