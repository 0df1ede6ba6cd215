// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Escrow} from "../../src/Escrow.sol";
import {EscrowState} from "../../src/escrow/EscrowTerms.sol";
import {DeferralReason} from "../../src/escrow/IEscrowEvents.sol";
import {IEscrowFactory} from "../../src/escrow/IEscrowFactory.sol";
import {IScreening} from "../../src/escrow/IScreening.sol";
import {ScreeningList} from "../../src/escrow/ScreeningList.sol";
import {NATIVE} from "../../src/vault/VaultTypes.sol";
import {EscrowFixture} from "./EscrowFixture.sol";

/// @notice An oracle that answers in every wrong way, and at last in the right one.
contract BrokenScreening {
    uint256 public mode;

    function set(uint256 mode_) external {
        mode = mode_;
    }

    function isAllowed(address) external view {
        uint256 way = mode;
        if (way == 0) revert("down");
        if (way == 1) while (true) {}
        assembly {
            if eq(way, 2) { return(0, 0) }
            mstore(0, sub(way, 3)) // 3: no, 4: yes, above: no truth value
            return(0, 32)
        }
    }
}

contract EscrowScreeningTest is EscrowFixture {
    ScreeningList private list;
    address private officer = makeAddr("officer");
    address private screener = makeAddr("screener");

    function setUp() public override {
        super.setUp();
        list = new ScreeningList(admin);
        vm.startPrank(admin);
        list.grantRole(list.SCREENER_ROLE(), screener);
        factory.grantRole(factory.COMPLIANCE_ROLE(), officer);
        vm.stopPrank();
        screenBy(IScreening(list));
        setAllowed(payer, true);
        setAllowed(payee, true);
    }

    function screenBy(IScreening oracle) private {
        vm.prank(officer);
        factory.setScreening(oracle);
    }

    function setAllowed(address account, bool allowed) private {
        address[] memory accounts = new address[](1);
        accounts[0] = account;
        vm.prank(screener);
        list.setAllowed(accounts, allowed);
    }

    /// @dev Released to a payee who has been taken off the list since the creation.
    function openHeld() private returns (Escrow escrow) {
        escrow = open(payee, NATIVE, 1 ether);
        setAllowed(payee, false);
        approve(escrow, 2);
        escrow.release();
    }

    // -- Powers -------------------------------------------------------------------------------------------------------

    function test_the_list_is_its_screeners() public {
        assertFalse(list.isAllowed(makeAddr("unknown")));
        address[] memory accounts = new address[](2);
        (accounts[0], accounts[1]) = (payee, makeAddr("unknown"));
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector, address(this), list.SCREENER_ROLE()
            )
        );
        list.setAllowed(accounts, true);
        vm.expectEmit(address(list));
        emit ScreeningList.AccountScreened(payee, true, true, screener, 3);
        vm.expectEmit(address(list));
        emit ScreeningList.AccountScreened(accounts[1], false, true, screener, 4);
        vm.prank(screener);
        list.setAllowed(accounts, true);
        assertTrue(list.isAllowed(accounts[1]));
    }

    function test_the_oracle_is_the_officers_to_name() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector, address(this), factory.COMPLIANCE_ROLE()
            )
        );
        factory.setScreening(IScreening(address(0)));
        vm.expectRevert(abi.encodeWithSelector(IEscrowFactory.NotAScreening.selector, payee));
        screenBy(IScreening(payee));
        vm.expectEmit(address(factory));
        emit IEscrowFactory.ScreeningChanged(address(list), address(0), officer, 2);
        screenBy(IScreening(address(0)));
        open(makeAddr("anybody"), NATIVE, 1 ether);
    }

    // -- Creation -----------------------------------------------------------------------------------------------------

    function test_no_escrow_for_who_is_not_allowed() public {
        setAllowed(payee, false);
        vm.prank(payer);
        vm.expectRevert(abi.encodeWithSelector(IEscrowFactory.AccountNotAllowed.selector, payee));
        factory.createEscrow{value: 1 ether}(terms(payee, NATIVE, 1 ether));
        setAllowed(payee, true);
        setAllowed(payer, false);
        vm.prank(payer);
        vm.expectRevert(abi.encodeWithSelector(IEscrowFactory.AccountNotAllowed.selector, payer));
        factory.createEscrow{value: 1 ether}(terms(payee, NATIVE, 1 ether));
    }

    // -- Payouts ------------------------------------------------------------------------------------------------------

    function test_a_payout_to_a_blocked_payee_is_held() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        setAllowed(payee, false);
        approve(escrow, 2);
        vm.expectEmit(address(escrow));
        emit EscrowPaymentDeferred(payee, DeferralReason.Screened, 1 ether, 1 ether, 6);
        escrow.release();
        assertState(escrow, EscrowState.Released);
        assertEq(address(escrow).balance, 1 ether);
        vm.prank(payee);
        vm.expectRevert(abi.encodeWithSelector(AccountNotAllowed.selector, payee));
        escrow.claim(payee);
    }

    function test_a_held_payout_is_claimed_once_the_payee_is_cleared() public {
        Escrow escrow = openHeld();
        setAllowed(payee, true);
        vm.prank(payee);
        escrow.claim(payee);
        assertEq(payee.balance, 1 ether);
    }

    /// A cleared payee is no door to an address that is not.
    function test_a_claim_screens_where_the_money_goes() public {
        Escrow escrow = openHeld();
        setAllowed(payee, true);
        vm.prank(payee);
        vm.expectRevert(abi.encodeWithSelector(AccountNotAllowed.selector, approvers[0]));
        escrow.claim(approvers[0]);
    }

    function test_a_payee_that_is_never_cleared_can_give_the_money_back() public {
        Escrow escrow = openHeld();
        vm.prank(payee);
        escrow.returnToPayer();
        assertEq(payer.balance, 100 ether);
    }

    function test_a_ruling_holds_a_blocked_payees_share_alone() public {
        Escrow escrow = openStaged(payee, NATIVE, 6 ether);
        approve(escrow, 2);
        disputeBy(escrow, payee);
        setAllowed(payee, false);
        vm.prank(arbiter);
        escrow.rule(4 ether);
        assertEq(escrow.owed(payee), 4 ether);
        assertEq(payer.balance, 96 ether);
    }

    /// A refund is no payout to the payee: screening never stands between the payer and its own money.
    function test_a_refund_is_not_screened() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        setAllowed(payer, false);
        vm.warp(deadline);
        vm.prank(payer);
        escrow.refund();
        assertEq(payer.balance, 100 ether);
    }

    /// Only a clear yes is one. An oracle that is down holds payouts, stops no release, and can be replaced.
    function testFuzz_a_broken_oracle_allows_nobody_and_loses_nothing(uint256 way) public {
        BrokenScreening broken = new BrokenScreening();
        Escrow escrow = open(payee, NATIVE, 1 ether);
        way = bound(way, 0, 6);
        broken.set(way == 4 ? type(uint256).max : way);
        screenBy(IScreening(address(broken)));
        approve(escrow, 2);
        escrow.release{gas: 500_000}();
        assertEq(escrow.owed(payee), 1 ether);
        broken.set(4);
        vm.prank(payee);
        escrow.claim(payee);
        assertEq(payee.balance, 1 ether);
    }

    function test_a_dead_oracle_is_replaced() public {
        BrokenScreening broken = new BrokenScreening();
        Escrow escrow = open(payee, NATIVE, 1 ether);
        screenBy(IScreening(address(broken)));
        approve(escrow, 2);
        escrow.release();
        screenBy(IScreening(list));
        vm.prank(payee);
        escrow.claim(payee);
        assertEq(payee.balance, 1 ether);
    }
}
