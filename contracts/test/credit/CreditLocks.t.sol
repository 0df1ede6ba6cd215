// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {BridgeRegistry} from "../../src/bridge/BridgeRegistry.sol";
import {Envelope} from "../../src/bridge/Envelope.sol";
import {IBridgeRouter} from "../../src/bridge/IBridgeRouter.sol";
import {CrossChainVault} from "../../src/CrossChainVault.sol";
import {CreditKinds, Lock} from "../../src/credit/CreditTypes.sol";
import {RemoteCredit} from "../../src/credit/RemoteCredit.sol";
import {IVaultEvents} from "../../src/vault/IVaultEvents.sol";
import {CreditFixture} from "./CreditFixture.sol";
import {LoopBridge} from "./LoopBridge.sol";

/// @notice The home half: what can be locked, what a message from abroad may take off a lock, and when it is called.
contract CreditLocksTest is CreditFixture {
    bytes32 private constant FIRST = bytes32(uint256(1));

    // -- Locking ------------------------------------------------------------------------------------------------------

    function test_a_lock_tells_all_and_sends_its_grant() public {
        bytes32 ref = refOf(1);
        uint64 deadline = uint64(block.timestamp) + TERM;
        vm.expectEmit(true, true, false, true, address(home.remote));
        emit CollateralLocked(alice, ref, 0, address(home.weth), 10 ether, 15_000e8, abroad.id, deadline, 3);
        assertEq(lock(15_000e8), ref);
        Envelope memory sent = abi.decode(last(home), (Envelope));
        assertEq(sent.kind, CreditKinds.GRANT);
        assertEq(sent.account, alice);
        assertEq(sent.asset, address(home.weth));
        assertEq(sent.amount, 15_000e8);
        assertEq(sent.deadline, deadline);
        assertEq(sent.ref, ref);
        assertEq(sent.dstApp, address(abroad.remote));
    }

    function test_refs_differ_lock_by_lock() public {
        assertEq(lock(1e8), refOf(1));
        assertEq(lock(1e8), refOf(2));
    }

    function test_the_bridge_takes_its_fee_and_the_rest_returns() public {
        on(home);
        vm.deal(alice, 1 ether);
        vm.prank(alice);
        home.remote.lock{value: 1 ether}(
            address(home.weth), 1 ether, 1e8, abroad.id, AXELAR, uint64(block.timestamp) + TERM
        );
        assertEq(alice.balance, 1 ether - FEE);
    }

    function test_a_lock_that_cannot_pay_its_bridge_locks_nothing() public {
        uint64 deadline = uint64(block.timestamp) + TERM;
        on(home);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(LoopBridge.FeeTooLow.selector, FEE));
        home.remote.lock(address(home.weth), 10 ether, 1e8, abroad.id, AXELAR, deadline);
    }

    /// @dev Credit up to value x LTV to the last unit, above it nothing.
    function testFuzz_credit_is_at_most_value_times_ltv(uint256 price, uint256 amount, uint256 credit) public {
        home.wethFeed.updateAnswer(int256(bound(price, 1, 1e14)));
        amount = bound(amount, 1, 100 ether);
        (uint256 answer, uint256 unit) = home.vault.quoteOf(address(home.weth));
        uint256 most = amount * answer / unit * 7_500 / 10_000;
        credit = bound(credit, 1, 2 * most + 1);
        if (credit > most) vm.expectPartialRevert(CreditAboveValue.selector);
        this.lockAs(alice, amount, credit, uint64(block.timestamp) + TERM);
    }

    function test_the_credit_needs_an_amount_a_listed_asset_and_a_live_price() public {
        uint64 deadline = uint64(block.timestamp) + TERM;
        vm.expectRevert(ZeroAmount.selector);
        this.lockAs(alice, 1 ether, 0, deadline);
        vm.expectRevert(abi.encodeWithSelector(CreditAboveValue.selector, 1, 0));
        this.lockAs(alice, 0, 1, deadline);
        vm.expectRevert(abi.encodeWithSelector(IVaultEvents.AssetNotListed.selector, address(this)));
        home.remote.lock(address(this), 1, 1, abroad.id, AXELAR, deadline);
        home.wethFeed.updateAnswer(0);
        vm.expectRevert(abi.encodeWithSelector(IVaultEvents.InvalidPrice.selector, address(home.wethFeed), 0));
        this.lockAs(alice, 1 ether, 1, deadline);
    }

    function test_the_term_lies_ahead_and_is_at_most_a_year() public {
        vm.expectRevert(abi.encodeWithSelector(InvalidDeadline.selector, uint64(block.timestamp)));
        this.lockAs(alice, 1 ether, 1e8, uint64(block.timestamp));
        uint64 late = uint64(block.timestamp) + 365 days;
        vm.expectRevert(abi.encodeWithSelector(InvalidDeadline.selector, late + 1));
        this.lockAs(alice, 1 ether, 1e8, late + 1);
        this.lockAs(alice, 1 ether, 1e8, late);
    }

    function test_collateral_that_local_debt_needs_cannot_be_locked() public {
        on(home);
        vm.prank(alice);
        home.vault.borrow(address(home.usdc), 150_000e6, alice);
        vm.expectPartialRevert(IVaultEvents.InsufficientBorrowingPower.selector);
        this.lockAs(alice, 1 ether, 1e8, uint64(block.timestamp) + TERM);
    }

    function test_locked_collateral_is_out_of_the_accounts_reach() public {
        lock(15_000e8);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IVaultEvents.InsufficientBalance.selector, home.weth, 90 ether));
        home.vault.withdrawCollateral(address(home.weth), 100 ether, alice);
    }

    function test_a_chain_without_a_peer_gets_no_lock() public {
        uint64 deadline = uint64(block.timestamp) + TERM;
        on(home);
        pay(alice);
        vm.expectRevert(abi.encodeWithSelector(BridgeRegistry.UnknownApp.selector, home.remote, 303));
        home.remote.lock{value: FEE}(address(home.weth), 1 ether, 1e8, 303, AXELAR, deadline);
    }

    // -- Messages from abroad -----------------------------------------------------------------------------------------

    function test_a_release_and_a_seizure_tell_what_is_left() public {
        bytes32 ref = lock(15_000e8);
        vm.expectEmit(address(home.remote));
        emit CollateralReleased(alice, ref, FIRST, address(home.weth), 3_000e8, 2 ether, 12_000e8, 8 ether, 4);
        receiveAtHome(CreditKinds.RELEASE, ref, 3_000e8);
        vm.expectEmit(address(home.remote));
        emit CollateralSeized(
            alice, ref, FIRST, address(home.weth), treasury, 6_000e8, 4 ether, 6_000e8, 4 ether, 5
        );
        receiveAtHome(CreditKinds.SEIZE, ref, 6_000e8);
        assertEq(wethOf(alice), 92 ether);
        assertEq(wethOf(treasury), 4 ether);
        assertEq(wethOf(address(home.remote)), 4 ether);
    }

    /// @dev Whatever parts come home in whatever order and split, nobody gains from it more than rounding: at most a
    /// base unit per message.
    function testFuzz_the_order_of_messages_does_not_matter(uint256 amount, uint256 credit, uint256 a, uint256 b)
        public
    {
        amount = bound(amount, 1e9, 10 ether);
        credit = bound(credit, 3, amount * 2_000e8 / 1e18 * 7_500 / 10_000);
        a = bound(a, 1, credit - 2);
        b = bound(b, 1, credit - a - 1);
        uint64 deadline = uint64(block.timestamp) + TERM;
        bytes32 first = lock(alice, amount, credit, deadline);
        bytes32 second = lock(bob, amount, credit, deadline);
        receiveAtHome(CreditKinds.RELEASE, first, a);
        receiveAtHome(CreditKinds.SEIZE, first, b);
        uint256 seized = wethOf(treasury);
        receiveAtHome(CreditKinds.SEIZE, second, b);
        receiveAtHome(CreditKinds.RELEASE, second, a);
        assertApproxEqAbs(wethOf(treasury) - seized, seized, 1);
        assertApproxEqAbs(wethOf(alice), wethOf(bob), 1);
        receiveAtHome(CreditKinds.RELEASE, first, credit - a - b);
        receiveAtHome(CreditKinds.RELEASE, second, credit - a - b);
        assertEq(wethOf(address(home.remote)), 0, "the last takes all that is left");
    }

    function test_no_message_takes_more_than_the_lock_holds() public {
        bytes32 ref = lock(15_000e8);
        vm.expectRevert(abi.encodeWithSelector(CreditAboveLock.selector, ref, 15_000e8));
        this.receiveAtHome(CreditKinds.RELEASE, ref, 15_000e8 + 1);
        vm.expectRevert(abi.encodeWithSelector(CreditAboveLock.selector, ref, 15_000e8));
        this.receiveAtHome(CreditKinds.SEIZE, ref, 15_000e8 + 1);
    }

    function test_only_the_chain_that_a_lock_names_takes_from_it() public {
        bytes32 ref = lock(15_000e8);
        Envelope memory envelope = envelopeHome(CreditKinds.RELEASE, ref, 1e8);
        envelope.srcChainId = 303;
        vm.startPrank(address(home.router));
        vm.expectRevert(abi.encodeWithSelector(UnknownLock.selector, ref));
        home.remote.onMessage(FIRST, envelope);
        vm.expectRevert(abi.encodeWithSelector(UnknownLock.selector, FIRST));
        home.remote.onMessage(FIRST, envelopeHome(CreditKinds.RELEASE, FIRST, 1e8));
        vm.stopPrank();
    }

    function test_messages_come_from_the_router_and_are_of_a_known_kind() public {
        bytes32 ref = lock(15_000e8);
        vm.expectRevert(abi.encodeWithSelector(OnlyRouter.selector, address(this)));
        home.remote.onMessage(FIRST, envelopeHome(CreditKinds.RELEASE, ref, 1));
        vm.expectRevert(abi.encodeWithSelector(UnknownKind.selector, 5));
        this.receiveAtHome(5, ref, 1);
    }

    // -- Margin calls -------------------------------------------------------------------------------------------------

    function test_a_credit_is_called_below_the_threshold_and_not_at_it() public {
        bytes32 ref = lock(15_000e8);
        home.wethFeed.updateAnswer(1_875e8); // 18,750 x 80 % = 15,000
        pay(bob);
        vm.expectRevert(abi.encodeWithSelector(StillCovered.selector, ref, 18_750e8, 15_000e8));
        home.remote.call{value: FEE}(ref, AXELAR);
        home.wethFeed.updateAnswer(1_875e8 - 1);
        vm.expectEmit(true, true, false, true, address(home.remote));
        emit CreditCalled(alice, ref, 0, 18_750e8 - 10, 15_000e8, 4);
        callCredit(ref);
        Envelope memory sent = abi.decode(last(home), (Envelope));
        assertEq(sent.kind, CreditKinds.CALL);
        assertEq(sent.ref, ref);
    }

    function test_a_lost_call_is_sent_again() public {
        bytes32 ref = lock(15_000e8);
        home.wethFeed.updateAnswer(1_800e8);
        callCredit(ref);
        callCredit(ref);
        assertEq(home.axelar.sentCount(), 3);
    }

    function test_what_is_not_locked_cannot_be_called() public {
        pay(bob);
        vm.expectRevert(abi.encodeWithSelector(UnknownLock.selector, FIRST));
        home.remote.call{value: FEE}(FIRST, AXELAR);
    }

    // -- Parameters ---------------------------------------------------------------------------------------------------

    function test_the_treasury_changes_by_the_risk_role_alone() public {
        vm.expectEmit(address(home.remote));
        emit TreasuryChanged(treasury, bob, 3);
        vm.prank(desk);
        home.remote.setTreasury(bob);
        assertEq(home.remote.treasury(), bob);
        vm.prank(desk);
        vm.expectRevert(ZeroAddress.selector);
        home.remote.setTreasury(address(0));
        bytes32 role = home.remote.RISK_ROLE();
        vm.prank(alice);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, alice, role)
        );
        home.remote.setTreasury(alice);
    }

    function test_it_needs_a_vault_a_router_and_a_treasury() public {
        CrossChainVault vault = home.vault;
        IBridgeRouter router = home.router;
        vm.expectRevert(ZeroAddress.selector);
        new RemoteCredit(admin, CrossChainVault(address(0)), router, treasury, GRACE);
        vm.expectRevert(ZeroAddress.selector);
        new RemoteCredit(admin, vault, IBridgeRouter(address(0)), treasury, GRACE);
        vm.expectRevert(ZeroAddress.selector);
        new RemoteCredit(admin, vault, router, address(0), GRACE);
    }

    // -- Parts --------------------------------------------------------------------------------------------------------

    function lockAs(address who, uint256 amount, uint256 credit, uint64 deadline) external {
        lock(who, amount, credit, deadline);
    }

    function receiveAtHome(uint8 kind, bytes32 ref, uint256 amount) public {
        on(home);
        vm.prank(address(home.router));
        home.remote.onMessage(FIRST, envelopeHome(kind, ref, amount));
    }

    function envelopeHome(uint8 kind, bytes32 ref, uint256 amount) private view returns (Envelope memory) {
        return Envelope({
            version: 1,
            srcChainId: abroad.id,
            srcApp: address(abroad.remote),
            dstChainId: home.id,
            dstApp: address(home.remote),
            nonce: 1,
            kind: kind,
            account: alice,
            asset: address(0),
            amount: amount,
            deadline: 0,
            ref: ref
        });
    }

    function refOf(uint256 count) private view returns (bytes32) {
        return bytes32(uint256(home.id) << 192 | uint256(uint160(address(home.remote))) << 32 | count);
    }
}
