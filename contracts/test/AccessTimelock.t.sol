// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {AssetConfig} from "../src/vault/VaultTypes.sol";
import {VaultFixture} from "./VaultFixture.sol";

/// @notice The vault as it is to be held: admin and RISK_ROLE belong to a timelock, the guardian can only pause, and
/// nobody else changes a parameter.
contract AccessTimelockTest is VaultFixture {
    uint256 private constant DELAY = 2 days;
    TimelockController private timelock;
    address private desk = makeAddr("desk");

    function setUp() public override {
        super.setUp();
        address[] memory desks = new address[](1);
        desks[0] = desk;
        timelock = new TimelockController(DELAY, desks, desks, address(0));
        vm.startPrank(admin);
        vault.grantRole(vault.RISK_ROLE(), address(timelock));
        vault.revokeRole(vault.RISK_ROLE(), risk);
        vault.beginDefaultAdminTransfer(address(timelock));
        vm.stopPrank();
        through(abi.encodeCall(vault.acceptDefaultAdminTransfer, ()));
    }

    function schedule(bytes memory data) private {
        vm.prank(desk);
        timelock.schedule(address(vault), 0, data, 0, 0, DELAY);
    }

    function execute(bytes memory data) private {
        vm.prank(desk);
        timelock.execute(address(vault), 0, data, 0, 0);
    }

    function through(bytes memory data) private {
        schedule(data);
        pass(DELAY);
        execute(data);
    }

    function change() private view returns (bytes memory, AssetConfig memory config) {
        config = vault.configOf(address(weth));
        config.ltvBps = 7_000;
        return (abi.encodeCall(vault.configureAsset, (address(weth), config)), config);
    }

    function test_the_admin_changed_in_two_steps() public view {
        assertEq(vault.defaultAdmin(), address(timelock));
        assertFalse(vault.hasRole(vault.DEFAULT_ADMIN_ROLE(), admin));
    }

    function test_a_parameter_changes_after_the_delay_and_not_a_second_before() public {
        (bytes memory data, AssetConfig memory changed) = change();
        schedule(data);
        pass(DELAY - 1);
        vm.prank(desk);
        vm.expectPartialRevert(TimelockController.TimelockUnexpectedOperationState.selector);
        timelock.execute(address(vault), 0, data, 0, 0);
        pass(1);
        AssetConfig memory old = vault.configOf(address(weth));
        uint64 seq = vault.seq();
        vm.expectEmit(address(vault));
        emit AssetParametersChanged(address(weth), old, changed, seq + 1);
        execute(data);
        assertEq(vault.configOf(address(weth)).ltvBps, 7_000);
    }

    function test_a_role_is_granted_through_the_timelock_alone() public {
        bytes32 role = vault.GUARDIAN_ROLE();
        bytes memory grant = abi.encodeCall(vault.grantRole, (role, bob));
        refused(admin, grant);
        refused(desk, grant);
        through(grant);
        assertTrue(vault.hasRole(role, bob));
    }

    /// Every caller but the holder is refused every change; the guardian is refused all but the pause.
    function test_nobody_else_changes_anything() public {
        (bytes memory configure_,) = change();
        bytes[6] memory changes = [
            configure_,
            abi.encodeCall(vault.unpause, (3)),
            abi.encodeCall(vault.writeOffBadDebt, (alice)),
            abi.encodeCall(vault.grantRole, (vault.RISK_ROLE(), alice)),
            abi.encodeCall(vault.revokeRole, (vault.GUARDIAN_ROLE(), guardian)),
            abi.encodeCall(vault.beginDefaultAdminTransfer, (alice))
        ];
        address[7] memory callers = [guardian, credit, locker, admin, risk, desk, alice];
        for (uint256 i = 0; i < callers.length; ++i) {
            for (uint256 k = 0; k < changes.length; ++k) refused(callers[i], changes[k]);
            if (callers[i] != credit) refused(callers[i], abi.encodeCall(vault.setCreditLine, (alice, 1)));
            if (callers[i] != guardian) refused(callers[i], abi.encodeCall(vault.pause, (3)));
        }
        vm.prank(guardian);
        vault.pause(3);
        through(abi.encodeCall(vault.unpause, (3)));
        assertEq(vault.pauseFlags(), 0);
    }

    function refused(address caller, bytes memory data) private {
        vm.prank(caller);
        (bool ok, bytes memory reason) = address(vault).call(data);
        assertFalse(ok);
        assertEq(bytes4(reason), IAccessControl.AccessControlUnauthorizedAccount.selector);
    }
}
