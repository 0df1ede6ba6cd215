// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {Test} from "forge-std/Test.sol";
import {Escrow, EscrowTerms} from "../src/Escrow.sol";
import {EscrowFactory} from "../src/EscrowFactory.sol";
import {IEscrowEvents} from "../src/escrow/IEscrowEvents.sol";
import {NATIVE} from "../src/vault/VaultTypes.sol";
import {TestToken} from "../src/dev/TestToken.sol";

/// @notice A token whose issuer can block holders.
contract BlockingToken is TestToken("Blocking", "BLK", 6) {
    mapping(address holder => bool) public blocked;
    uint256 public fee;

    function setBlocked(address holder, bool value) external {
        blocked[holder] = value;
    }

    function setFee(uint256 value) external {
        fee = value;
    }

    function _update(address from, address to, uint256 value) internal override {
        require(!blocked[to], "blocked");
        if (from != address(0) && fee != 0) {
            super._update(from, address(0xdead), fee);
            value -= fee;
        }
        super._update(from, to, value);
    }
}

/// @notice A receiver that refuses, burns all gas, answers with a huge blob, or calls back.
contract DifficultReceiver {
    enum Mode {
        Refuse,
        BurnGas,
        Blob,
        Reenter,
        Accept
    }

    Mode public mode;

    function set(Mode mode_) external {
        mode = mode_;
    }

    function claim(Escrow escrow, address to) external {
        escrow.claim(to);
    }

    receive() external payable {
        if (mode == Mode.Refuse) revert("no");
        if (mode == Mode.BurnGas) while (true) {}
        if (mode == Mode.Reenter) Escrow(msg.sender).release();
        if (mode == Mode.Blob) {
            assembly {
                revert(0, 1000000)
            }
        }
    }
}

contract EscrowTest is Test, IEscrowEvents {
    EscrowFactory internal factory;
    TestToken internal usdc;
    address internal payer = makeAddr("payer");
    address internal payee = makeAddr("payee");
    address[] internal approvers;
    uint64 internal deadline;

    function setUp() public {
        vm.warp(1_700_000_000);
        factory = new EscrowFactory();
        usdc = new TestToken("USD Coin", "USDC", 6);
        approvers.push(makeAddr("approver 1"));
        approvers.push(makeAddr("approver 2"));
        approvers.push(makeAddr("approver 3"));
        deadline = uint64(block.timestamp + 7 days);
        vm.deal(payer, 100 ether);
        usdc.mint(payer, 1_000_000e6);
        vm.prank(payer);
        usdc.approve(address(factory), type(uint256).max);
    }

    function terms(address to, address token, uint256 amount, bytes32 ref) private view returns (EscrowTerms memory) {
        return EscrowTerms(to, token, amount, approvers, 2, deadline, ref);
    }

    function open(address to, address token, uint256 amount) private returns (Escrow) {
        vm.prank(payer);
        uint256 value = token == NATIVE ? amount : 0;
        return Escrow(factory.createEscrow{value: value}(terms(to, token, amount, "ref")));
    }

    function approve(Escrow escrow, uint256 count) private {
        for (uint256 i = 0; i < count; ++i) {
            vm.prank(approvers[i]);
            escrow.approve();
        }
    }

    // -- Creation -----------------------------------------------------------------------------------------------------

    function test_creation_funds_and_tells_at_the_predicted_address() public {
        address expected = factory.predictEscrow(payer, "ref");
        vm.expectEmit(address(factory));
        emit EscrowFactory.EscrowCreated(expected, payer, payee, address(usdc), 500e6, "ref");
        vm.expectEmit(expected);
        emit EscrowFunded(payer, 500e6);
        Escrow escrow = open(payee, address(usdc), 500e6);
        assertEq(address(escrow), expected);
        assertEq(usdc.balanceOf(expected), 500e6);
        assertEq(escrow.payee(), payee);
        assertEq(escrow.token(), address(usdc));
        assertEq(escrow.amount(), 500e6);
        assertEq(escrow.threshold(), 2);
        assertEq(escrow.deadline(), deadline);
        assertEq(escrow.ref(), "ref");
        assertTrue(escrow.isApprover(approvers[2]));
    }

    /// The salt binds the payer: another payer's escrow with the same reference has another address, and a payer's
    /// reference works once.
    function test_an_address_belongs_to_one_payer_and_one_reference() public {
        open(payee, NATIVE, 1 ether);
        vm.prank(payer);
        vm.expectRevert(Errors.FailedDeployment.selector);
        factory.createEscrow{value: 1 ether}(terms(payee, NATIVE, 1 ether, "ref"));
        address other = makeAddr("other");
        assertNotEq(factory.predictEscrow(other, "ref"), factory.predictEscrow(payer, "ref"));
        vm.deal(other, 1 ether);
        vm.prank(other);
        assertEq(
            factory.createEscrow{value: 1 ether}(terms(payee, NATIVE, 1 ether, "ref")),
            factory.predictEscrow(other, "ref")
        );
    }

    function test_only_the_factory_initializes_and_only_once() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        Escrow implementation = Escrow(factory.implementation());
        vm.expectRevert(OnlyFactory.selector);
        escrow.initialize(payer, terms(payee, NATIVE, 1 ether, "ref"));
        vm.expectRevert(OnlyFactory.selector);
        implementation.initialize(payer, terms(payee, NATIVE, 1 ether, "ref"));
        vm.prank(address(factory));
        vm.expectRevert(OnlyFactory.selector);
        escrow.initialize(payer, terms(payee, NATIVE, 1 ether, "ref"));
    }

    function refuse(EscrowTerms memory bad) private {
        vm.prank(payer);
        vm.expectRevert(InvalidTerms.selector);
        factory.createEscrow{value: bad.amount}(bad);
    }

    function test_invalid_terms_are_refused() public {
        EscrowTerms memory bad = terms(address(0), NATIVE, 1 ether, "x");
        refuse(bad);
        refuse(terms(payee, NATIVE, 0, "x"));
        bad = terms(payee, NATIVE, 1 ether, "x");
        bad.threshold = 0;
        refuse(bad);
        bad.threshold = 4;
        refuse(bad);
        bad = terms(payee, NATIVE, 1 ether, "x");
        bad.deadline = uint64(block.timestamp);
        refuse(bad);
        bad = terms(payee, NATIVE, 1 ether, "x");
        bad.approvers[1] = bad.approvers[0];
        refuse(bad);
        bad.approvers[1] = address(0);
        refuse(bad);
        bad.approvers = new address[](17);
        refuse(bad);
    }

    function test_native_value_must_be_the_amount_and_tokens_take_none() public {
        vm.startPrank(payer);
        vm.expectRevert(abi.encodeWithSelector(WrongValue.selector, 2 ether, 1 ether));
        factory.createEscrow{value: 1 ether}(terms(payee, NATIVE, 2 ether, "x"));
        vm.expectRevert(abi.encodeWithSelector(WrongValue.selector, 0, 1));
        factory.createEscrow{value: 1}(terms(payee, address(usdc), 1e6, "x"));
        vm.stopPrank();
    }

    function test_fee_on_transfer_is_refused() public {
        BlockingToken token = new BlockingToken();
        token.mint(payer, 100e6);
        token.setFee(1e6);
        vm.startPrank(payer);
        token.approve(address(factory), type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(TransferShortfall.selector, 100e6, 99e6));
        factory.createEscrow(terms(payee, address(token), 100e6, "x"));
        vm.stopPrank();
    }

    // -- Approvals ----------------------------------------------------------------------------------------------------

    function test_release_needs_the_threshold() public {
        Escrow escrow = open(payee, address(usdc), 500e6);
        vm.expectEmit(address(escrow));
        emit EscrowApproved(approvers[0]);
        approve(escrow, 1);
        vm.expectRevert(abi.encodeWithSelector(ConditionsUnmet.selector, 1, 2));
        escrow.release();
        vm.prank(approvers[2]);
        escrow.approve();
        vm.expectEmit(address(escrow));
        emit EscrowReleased(payee, 500e6);
        escrow.release();
        assertEq(usdc.balanceOf(payee), 500e6);
        assertEq(uint256(escrow.state()), uint256(Escrow.State.Released));
    }

    function test_approval_belongs_to_approvers_once_each() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        vm.prank(payer);
        vm.expectRevert(abi.encodeWithSelector(NotApprover.selector, payer));
        escrow.approve();
        approve(escrow, 1);
        vm.prank(approvers[0]);
        vm.expectRevert(abi.encodeWithSelector(AlreadyApproved.selector, approvers[0]));
        escrow.approve();
    }

    function test_an_approval_is_revocable_until_the_threshold() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        vm.prank(approvers[0]);
        vm.expectRevert(abi.encodeWithSelector(NotApproved.selector, approvers[0]));
        escrow.revoke();
        approve(escrow, 1);
        vm.expectEmit(address(escrow));
        emit EscrowApprovalRevoked(approvers[0]);
        vm.prank(approvers[0]);
        escrow.revoke();
        assertEq(escrow.approvals(), 0);
        approve(escrow, 2);
        vm.prank(approvers[0]);
        vm.expectRevert(ConditionsMet.selector);
        escrow.revoke();
    }

    // -- Refund -------------------------------------------------------------------------------------------------------

    function test_refund_after_the_deadline_while_unmet() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        approve(escrow, 1);
        vm.startPrank(payer);
        vm.warp(deadline - 1);
        vm.expectRevert(abi.encodeWithSelector(DeadlineNotReached.selector, deadline));
        escrow.refund();
        vm.warp(deadline);
        vm.expectEmit(address(escrow));
        emit EscrowRefunded(payer, 1 ether);
        escrow.refund();
        vm.stopPrank();
        assertEq(payer.balance, 100 ether);
    }

    function test_refund_belongs_to_the_payer() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(NotPayer.selector, address(this)));
        escrow.refund();
    }

    function test_final_states_are_final() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        approve(escrow, 2);
        escrow.release();
        vm.expectRevert(NotFunded.selector);
        escrow.release();
        vm.expectRevert(NotFunded.selector);
        escrow.approve();
        vm.expectRevert(NotFunded.selector);
        escrow.revoke();
        vm.expectRevert(NotFunded.selector);
        escrow.refund();
        vm.expectRevert(abi.encodeWithSelector(NotBeneficiary.selector, address(this)));
        escrow.claim(payee);
    }

    // -- Payments that fail -------------------------------------------------------------------------------------------

    function testFuzz_a_difficult_receiver_blocks_nothing_and_claims_later(uint8 mode) public {
        DifficultReceiver receiver = new DifficultReceiver();
        receiver.set(DifficultReceiver.Mode(bound(mode, 0, 3)));
        Escrow escrow = open(address(receiver), NATIVE, 1 ether);
        approve(escrow, 2);
        vm.expectEmit(address(escrow));
        emit EscrowPaymentDeferred(address(receiver), 1 ether);
        escrow.release{gas: 400_000}();
        assertEq(uint256(escrow.state()), uint256(Escrow.State.Released));
        assertEq(escrow.owed(), 1 ether);

        vm.expectRevert(ZeroAddress.selector);
        receiver.claim(escrow, address(0));
        vm.expectEmit(address(escrow));
        emit EscrowClaimed(address(receiver), payee, 1 ether);
        receiver.claim(escrow, payee);
        assertEq(payee.balance, 1 ether);
        assertEq(escrow.owed(), 0);
        vm.expectRevert(abi.encodeWithSelector(NotBeneficiary.selector, address(receiver)));
        receiver.claim(escrow, payee);
    }

    function test_a_claim_that_fails_keeps_the_money_due() public {
        DifficultReceiver receiver = new DifficultReceiver();
        Escrow escrow = open(address(receiver), NATIVE, 1 ether);
        approve(escrow, 2);
        escrow.release();
        vm.expectRevert(abi.encodeWithSelector(PaymentFailed.selector, address(receiver)));
        receiver.claim(escrow, address(receiver));
        assertEq(escrow.owed(), 1 ether);
        receiver.set(DifficultReceiver.Mode.Accept);
        receiver.claim(escrow, address(receiver));
        assertEq(address(receiver).balance, 1 ether);
    }

    function test_a_blocked_token_holder_claims_elsewhere() public {
        BlockingToken token = new BlockingToken();
        token.mint(payer, 100e6);
        vm.startPrank(payer);
        token.approve(address(factory), type(uint256).max);
        Escrow escrow = Escrow(factory.createEscrow(terms(payee, address(token), 100e6, "x")));
        vm.stopPrank();
        token.setBlocked(payee, true);
        approve(escrow, 2);
        escrow.release();
        assertEq(escrow.beneficiary(), payee);
        vm.prank(payee);
        escrow.claim(approvers[0]);
        assertEq(token.balanceOf(approvers[0]), 100e6);
    }

    function test_a_refund_that_fails_is_deferred_to_the_payer() public {
        BlockingToken token = new BlockingToken();
        token.mint(payer, 100e6);
        vm.startPrank(payer);
        token.approve(address(factory), type(uint256).max);
        Escrow escrow = Escrow(factory.createEscrow(terms(payee, address(token), 100e6, "x")));
        token.setBlocked(payer, true);
        vm.warp(deadline);
        escrow.refund();
        assertEq(escrow.beneficiary(), payer);
        escrow.claim(payee);
        vm.stopPrank();
        assertEq(token.balanceOf(payee), 100e6);
    }

    // -- Law ----------------------------------------------------------------------------------------------------------

    /// Whatever the order of approvals, revocations, releases and refunds: the money is at exactly one of the escrow,
    /// the payee and the payer, and each final state came about by its own rule.
    function testFuzz_money_is_in_one_place(uint256 seed, uint8 steps) public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        for (uint256 i = 0; i < bound(steps, 1, 40); ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            address who = approvers[(seed >> 8) % 3];
            bool met = escrow.approvals() >= 2;
            bool expired = block.timestamp >= deadline;
            Escrow.State before = escrow.state();
            step(escrow, seed % 5, who);
            Escrow.State now_ = escrow.state();
            if (before != Escrow.State.Funded) assertEq(uint256(now_), uint256(before));
            else if (now_ == Escrow.State.Released) assertTrue(met);
            else if (now_ == Escrow.State.Refunded) assertTrue(expired && !met);
            assertEq(address(escrow).balance, now_ == Escrow.State.Funded ? 1 ether : 0);
            assertEq(payee.balance, now_ == Escrow.State.Released ? 1 ether : 0);
        }
        assertEq(address(escrow).balance + payee.balance + payer.balance, 100 ether);
    }

    function step(Escrow escrow, uint256 kind, address who) private {
        if (kind == 0) {
            skip(1 days);
            return;
        }
        bytes memory data = kind == 1
            ? abi.encodeCall(escrow.approve, ())
            : kind == 2
                ? abi.encodeCall(escrow.revoke, ())
                : kind == 3 ? abi.encodeCall(escrow.release, ()) : abi.encodeCall(escrow.refund, ());
        vm.prank(kind == 4 ? payer : who);
        (bool done,) = address(escrow).call(data);
        done;
    }
}
