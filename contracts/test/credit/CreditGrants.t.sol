// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Envelope} from "../../src/bridge/Envelope.sol";
import {CreditKinds, Grant, GrantStatus} from "../../src/credit/CreditTypes.sol";
import {IVaultEvents} from "../../src/vault/IVaultEvents.sol";
import {AccountValue} from "../../src/vault/VaultTypes.sol";
import {CreditFixture} from "./CreditFixture.sol";

/// @notice The remote half: when a grant counts, what may leave it and by whom.
contract CreditGrantsTest is CreditFixture {
    bytes32 private constant ID = bytes32(uint256(1));

    // -- Messages from home -------------------------------------------------------------------------------------------

    function test_a_grant_tells_all_that_it_changes() public {
        bytes32 ref = refOf(1);
        uint64 end = uint64(block.timestamp) + TERM;
        vm.expectEmit(address(abroad.remote));
        emit CreditGranted(alice, ref, ID, 15_000e8, end, 15_000e8, 15_000e8, 85_000e8, 3);
        receiveThere(CreditKinds.GRANT, ref, 15_000e8, end);
        vm.expectEmit(address(abroad.remote));
        emit CreditGranted(alice, refOf(2), ID, 5_000e8, end, 20_000e8, 20_000e8, 80_000e8, 4);
        receiveThere(CreditKinds.GRANT, refOf(2), 5_000e8, end);
        assertEq(lineOf(alice), 20_000e8);
    }

    function test_the_deadline_itself_is_too_late() public {
        uint64 end = uint64(block.timestamp);
        vm.expectEmit(address(abroad.remote));
        emit GrantLate(alice, refOf(1), ID, 15_000e8, end, 3);
        receiveThere(CreditKinds.GRANT, refOf(1), 15_000e8, end);
        receiveThere(CreditKinds.GRANT, refOf(2), 15_000e8, end + 1);
        assertEq(lineOf(alice), 15_000e8, "the second alone");
    }

    function test_a_ref_is_granted_once_whatever_became_of_it() public {
        uint64 end = uint64(block.timestamp) + TERM;
        receiveThere(CreditKinds.GRANT, refOf(1), 15_000e8, end);
        vm.expectRevert(abi.encodeWithSelector(GrantExists.selector, refOf(1)));
        this.receiveThere(CreditKinds.GRANT, refOf(1), 15_000e8, end);
        release(refOf(1), 15_000e8);
        vm.expectRevert(abi.encodeWithSelector(GrantExists.selector, refOf(1)));
        this.receiveThere(CreditKinds.GRANT, refOf(1), 15_000e8, end);
        receiveThere(CreditKinds.GRANT, refOf(2), 15_000e8, uint64(block.timestamp));
        callIn(refOf(2));
        vm.expectRevert(abi.encodeWithSelector(GrantExists.selector, refOf(2)));
        this.receiveThere(CreditKinds.GRANT, refOf(2), 15_000e8, end);
    }

    function test_no_peer_speaks_of_a_lock_of_another() public {
        uint64 end = uint64(block.timestamp) + TERM;
        bytes32 otherChain = refOf(303, address(home.remote), 1);
        bytes32 otherApp = refOf(home.id, address(this), 1);
        vm.expectRevert(abi.encodeWithSelector(ForeignRef.selector, otherChain));
        this.receiveThere(CreditKinds.GRANT, otherChain, 1e8, end);
        vm.expectRevert(abi.encodeWithSelector(ForeignRef.selector, otherApp));
        this.receiveThere(CreditKinds.GRANT, otherApp, 1e8, end);
        vm.expectRevert(abi.encodeWithSelector(ForeignRef.selector, otherChain));
        this.receiveThere(CreditKinds.CALL, otherChain, 1e8, end);
    }

    function test_a_call_ends_the_term_now_and_never_prolongs_it() public {
        uint64 end = uint64(block.timestamp) + TERM;
        receiveThere(CreditKinds.GRANT, refOf(1), 15_000e8, end);
        skip(1 days);
        vm.expectEmit(address(abroad.remote));
        emit TermEnded(refOf(1), ID, uint64(block.timestamp), 4);
        receiveThere(CreditKinds.CALL, refOf(1), 15_000e8, end);
        uint64 ended = uint64(block.timestamp);
        skip(1 days);
        receiveThere(CreditKinds.CALL, refOf(1), 15_000e8, end);
        assertEq(there(refOf(1)).termEnd, ended);
        assertEq(abroad.remote.seq(), 4, "one too many says nothing");
    }

    function test_a_call_may_overtake_its_grant_and_come_twice() public {
        uint64 end = uint64(block.timestamp) + TERM;
        receiveThere(CreditKinds.CALL, refOf(1), 15_000e8, end);
        receiveThere(CreditKinds.CALL, refOf(1), 15_000e8, end);
        assertEq(uint8(there(refOf(1)).status), uint8(GrantStatus.CALLED));
        receiveThere(CreditKinds.GRANT, refOf(1), 15_000e8, end);
        assertEq(uint8(there(refOf(1)).status), uint8(GrantStatus.LATE));
        assertEq(there(refOf(1)).termEnd, block.timestamp, "can be called in at once");
        assertEq(lineOf(alice), 0);
    }

    // -- Release ------------------------------------------------------------------------------------------------------

    function test_a_release_tells_all_and_goes_to_the_home_of_the_lock() public {
        bytes32 ref = granted(15_000e8);
        vm.expectEmit(true, true, false, true, address(abroad.remote));
        emit CreditReleased(alice, ref, 0, 4_000e8, 11_000e8, 11_000e8, 11_000e8, 4);
        release(ref, 4_000e8);
        Envelope memory sent = abi.decode(last(abroad), (Envelope));
        assertEq(sent.kind, CreditKinds.RELEASE);
        assertEq(sent.dstChainId, home.id);
        assertEq(sent.account, alice);
        assertEq(sent.amount, 4_000e8);
        assertEq(sent.ref, ref);
    }

    function test_credit_in_use_is_not_released_but_to_the_last_unit_all_else() public {
        bytes32 ref = granted(15_000e8);
        borrow(9_000);
        pay(alice);
        vm.expectRevert(abi.encodeWithSelector(CreditInUse.selector, alice, 6_000e8));
        abroad.remote.release{value: FEE}(ref, 6_000e8 + 1, AXELAR);
        release(ref, 6_000e8);
        assertEq(lineOf(alice), 9_000e8);
    }

    /// @dev With local collateral, debt and a second grant: a release is refused exactly when the account would lose
    /// the borrowing power that its debt needs.
    function testFuzz_a_release_leaves_borrowing_power(uint256 local, uint256 debt, uint256 amount) public {
        bytes32 ref = granted(15_000e8);
        granted(5_000e8);
        local = bound(local, 0, 5 ether);
        if (local != 0) deposit(abroad, alice, local);
        debt = bound(debt, 0, abroad.vault.valueOf(alice).borrowingPower / 10_000 / 1e8);
        if (debt != 0) borrow(debt);
        amount = bound(amount, 1, 15_000e8);
        AccountValue memory value = abroad.vault.valueOf(alice);
        bool fits = value.borrowingPower >= (value.debtUsd + amount) * 10_000;
        if (debt != 0 && !fits) vm.expectPartialRevert(CreditInUse.selector);
        this.releaseAs(ref, amount);
        value = abroad.vault.valueOf(alice);
        assertGe(value.borrowingPower, value.debtUsd * 10_000);
    }

    function test_only_the_account_releases_something_that_it_has() public {
        bytes32 ref = granted(15_000e8);
        on(abroad);
        pay(bob);
        vm.expectRevert(abi.encodeWithSelector(NotGrantee.selector, bob));
        abroad.remote.release{value: FEE}(ref, 1, AXELAR);
        pay(alice);
        vm.expectRevert(ZeroAmount.selector);
        abroad.remote.release{value: FEE}(ref, 0, AXELAR);
        pay(alice);
        vm.expectRevert(abi.encodeWithSelector(AmountAboveGrant.selector, ref, 15_000e8));
        abroad.remote.release{value: FEE}(ref, 15_000e8 + 1, AXELAR);
        release(ref, 15_000e8);
        pay(alice);
        vm.expectRevert(abi.encodeWithSelector(UnknownGrant.selector, ref));
        abroad.remote.release{value: FEE}(ref, 1, AXELAR);
    }

    function test_without_debt_no_price_is_needed() public {
        bytes32 ref = granted(15_000e8);
        deposit(abroad, alice, 1 ether);
        abroad.wethFeed.updateAnswer(0);
        release(ref, 15_000e8);
        assertEq(lineOf(alice), 0);
    }

    function test_with_debt_and_a_dead_feed_nothing_leaves() public {
        bytes32 ref = granted(15_000e8);
        borrow(1);
        abroad.usdcFeed.updateAnswer(0);
        pay(alice);
        vm.expectRevert(abi.encodeWithSelector(IVaultEvents.InvalidPrice.selector, address(abroad.usdcFeed), 0));
        abroad.remote.release{value: FEE}(ref, 1, AXELAR);
    }

    function test_a_line_that_the_desk_took_away_does_not_trap_the_collateral() public {
        bytes32 ref = granted(15_000e8);
        vm.startPrank(admin);
        abroad.vault.grantRole(abroad.vault.CREDIT_ROLE(), desk);
        vm.stopPrank();
        vm.prank(desk);
        abroad.vault.setCreditLine(alice, 0);
        release(ref, 15_000e8);
        assertEq(lineOf(alice), 0);
    }

    // -- The end of the term ------------------------------------------------------------------------------------------

    function test_a_grant_is_called_in_from_its_end_on() public {
        bytes32 ref = granted(15_000e8);
        skip(TERM - 1);
        uint64 end = there(ref).termEnd;
        pay(bob);
        vm.expectRevert(abi.encodeWithSelector(TermNotOver.selector, ref, end));
        abroad.remote.callIn{value: FEE}(ref, AXELAR);
        skip(1);
        callIn(ref);
        assertEq(there(ref).amount, 0);
    }

    function test_a_late_grant_goes_home_though_the_account_is_in_debt_and_without_a_price() public {
        granted(5_000e8);
        borrow(5_000);
        bytes32 late = lock(15_000e8);
        skip(TERM);
        deliver(home, abroad, last(home));
        abroad.usdcFeed.updateAnswer(0);
        callIn(late);
        assertEq(there(late).amount, 0);
        assertEq(lineOf(alice), 5_000e8);
        assertEq(abroad.remote.laneOf(home.id).granted, 5_000e8);
    }

    function test_calling_in_leaves_nothing_to_borrow() public {
        bytes32 ref = granted(15_000e8);
        borrow(5_000);
        skip(TERM);
        callIn(ref);
        vm.prank(alice);
        vm.expectPartialRevert(IVaultEvents.InsufficientBorrowingPower.selector);
        abroad.vault.borrow(address(abroad.usdc), 1e6, alice);
        pay(bob);
        vm.expectRevert(abi.encodeWithSelector(NothingUnused.selector, ref));
        abroad.remote.callIn{value: FEE}(ref, AXELAR);
    }

    function test_the_unused_line_of_other_grants_frees_the_one_whose_term_is_over() public {
        bytes32 first = granted(5_000e8);
        bytes32 second = lock(alice, 10 ether, 10_000e8, uint64(block.timestamp) + 2 * TERM);
        deliver(home, abroad, last(home));
        borrow(8_000);
        skip(TERM);
        callIn(first);
        assertEq(there(first).amount, 0);
        assertEq(there(second).amount, 10_000e8);
    }

    function test_the_term_of_a_liquidatable_account_ends_by_anyone() public {
        bytes32 ref = granted(15_000e8);
        borrow(15_000);
        vm.expectRevert(abi.encodeWithSelector(AccountHealthy.selector, alice));
        abroad.remote.endTerm(ref);
        skip(1 days);
        vm.expectEmit(address(abroad.remote));
        emit TermEnded(ref, bytes32(0), uint64(block.timestamp), 4);
        vm.prank(bob);
        abroad.remote.endTerm(ref);
        assertEq(there(ref).termEnd, block.timestamp);
        abroad.remote.endTerm(ref);
        assertEq(abroad.remote.seq(), 4, "once over it stays as it is");
    }

    // -- Default ------------------------------------------------------------------------------------------------------

    function test_a_seizure_waits_for_term_and_grace_and_tells_all() public {
        bytes32 ref = granted(15_000e8);
        borrow(15_000);
        skip(TERM + GRACE - 1);
        uint64 until = uint64(block.timestamp) + 1;
        pay(desk);
        vm.expectRevert(abi.encodeWithSelector(GraceNotOver.selector, ref, until));
        abroad.remote.seize{value: FEE}(ref, AXELAR);
        skip(1);
        vm.expectEmit(true, true, false, true, address(abroad.remote));
        emit CreditSeized(alice, ref, 0, 15_000e8, 0, 0, 0, 4);
        seize(ref);
        assertEq(abi.decode(last(abroad), (Envelope)).kind, CreditKinds.SEIZE);
    }

    function test_only_the_used_part_is_seized() public {
        bytes32 ref = granted(15_000e8);
        deposit(abroad, alice, 1 ether); // 1,500 of borrowing power
        borrow(5_500);
        skip(TERM + GRACE);
        seize(ref);
        assertApproxEqAbs(there(ref).amount, 11_000e8, 20e8, "what local collateral carries is not");
        repay(alice, type(uint128).max);
        pay(desk);
        vm.expectRevert(abi.encodeWithSelector(NothingUsed.selector, ref));
        abroad.remote.seize{value: FEE}(ref, AXELAR);
        callIn(ref);
    }

    /// Seized for 10,000 of 15,000, and nobody has repaid yet: the 5,000 that were never used are the account's.
    function test_a_debt_is_seized_for_once_though_nobody_has_repaid_it() public {
        bytes32 ref = granted(15_000e8);
        borrow(10_000);
        skip(TERM + GRACE);
        seize(ref);
        uint256 left = there(ref).amount;
        assertApproxEqAbs(left, 5_000e8, 40e8, "the rest");
        assertEq(lineOf(alice), 0, "nothing more to borrow on");
        assertEq(abroad.remote.laneOf(home.id).granted, 0, "and the lane is free");
        pay(desk);
        vm.expectRevert(abi.encodeWithSelector(NothingUsed.selector, ref));
        abroad.remote.seize{value: FEE}(ref, AXELAR);
        callIn(ref);
        assertEq(abi.decode(last(abroad), (Envelope)).amount, left, "goes home whole");
        assertEq(lineOf(alice), 0);
        assertEq(abroad.remote.laneOf(home.id).granted, 0);
    }

    function test_a_late_grant_cannot_be_seized() public {
        bytes32 ref = lock(15_000e8);
        skip(TERM + GRACE);
        deliver(home, abroad, last(home));
        pay(desk);
        vm.expectRevert(abi.encodeWithSelector(NothingUsed.selector, ref));
        abroad.remote.seize{value: FEE}(ref, AXELAR);
    }

    function test_what_nobody_repays_after_a_seizure_is_the_vaults_bad_debt() public {
        bytes32 ref = granted(15_000e8);
        borrow(15_000);
        vm.prank(desk);
        vm.expectRevert(abi.encodeWithSelector(IVaultEvents.StillBacked.selector, alice));
        abroad.vault.writeOffBadDebt(alice);
        skip(TERM + GRACE);
        seize(ref);
        vm.prank(desk);
        abroad.vault.writeOffBadDebt(alice);
        assertEq(abroad.vault.debtOf(alice, address(abroad.usdc)), 0);
    }

    /// Dust that no liquidator can buy does not keep a default on the lenders' books.
    function test_dust_collateral_does_not_keep_bad_debt_alive() public {
        bytes32 ref = granted(15_000e8);
        borrow(15_000);
        skip(TERM + GRACE);
        seize(ref);
        deposit(abroad, alice, 3e8); // 0.0000006
        address[2] memory tokens = [address(abroad.usdc), address(abroad.weth)];
        vm.expectRevert(abi.encodeWithSelector(IVaultEvents.LiquidationAtLoss.selector, tokens[1]));
        abroad.vault.liquidate(alice, tokens[0], tokens[1], type(uint256).max);
        vm.prank(desk);
        abroad.vault.writeOffBadDebt(alice);
        assertEq(abroad.vault.debtOf(alice, tokens[0]), 0);
    }

    function test_only_the_seizer_seizes() public {
        bytes32 ref = granted(15_000e8);
        skip(TERM + GRACE);
        bytes32 role = abroad.remote.SEIZER_ROLE();
        pay(bob);
        vm.expectRevert(abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, bob, role));
        abroad.remote.seize{value: FEE}(ref, AXELAR);
    }

    // -- Parts --------------------------------------------------------------------------------------------------------

    function releaseAs(bytes32 ref, uint256 amount) external {
        release(ref, amount);
    }

    function receiveThere(uint8 kind, bytes32 ref, uint256 amount, uint64 deadline) public {
        on(abroad);
        Envelope memory envelope = Envelope({
            version: 1,
            srcChainId: home.id,
            srcApp: address(home.remote),
            dstChainId: abroad.id,
            dstApp: address(abroad.remote),
            nonce: 1,
            kind: kind,
            account: alice,
            asset: address(home.weth),
            amount: amount,
            deadline: deadline,
            ref: ref
        });
        vm.prank(address(abroad.router));
        abroad.remote.onMessage(ID, envelope);
    }

    function refOf(uint256 count) private view returns (bytes32) {
        return refOf(home.id, address(home.remote), count);
    }

    function refOf(uint256 chainId, address app, uint256 count) private pure returns (bytes32) {
        return bytes32(chainId << 192 | uint256(uint160(app)) << 32 | count);
    }
}
