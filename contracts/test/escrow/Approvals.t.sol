// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Escrow} from "../../src/Escrow.sol";
import {EscrowState, EscrowTerms} from "../../src/escrow/EscrowTerms.sol";
import {NATIVE} from "../../src/vault/VaultTypes.sol";
import {EscrowFixture} from "./EscrowFixture.sol";
import {Wallet} from "./Receivers.sol";

contract EscrowApprovalsTest is EscrowFixture {
    function test_the_threshold_meets_the_conditions() public {
        Escrow escrow = openStaged(payee, address(usdc), 600e6);
        vm.expectEmit(address(escrow));
        emit EscrowApproved(approvers[0], 0, 1, 0, 2);
        approve(escrow, 1);
        assertState(escrow, EscrowState.Funded);
        vm.expectEmit(address(escrow));
        emit EscrowApproved(approvers[2], 0, 2, 0, 3);
        vm.expectEmit(address(escrow));
        emit EscrowConditionsMet(0, uint64(block.timestamp) + DELAY, 4);
        vm.prank(approvers[2]);
        escrow.approve(0);
        assertState(escrow, EscrowState.Approved);
        assertEq(escrow.releasableAt(), block.timestamp + DELAY);
    }

    function test_approval_belongs_to_approvers_once_each() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        vm.prank(payer);
        vm.expectRevert(abi.encodeWithSelector(NotApprover.selector, payer));
        escrow.approve(0);
        approve(escrow, 1);
        vm.prank(approvers[0]);
        vm.expectRevert(abi.encodeWithSelector(AlreadyApproved.selector, approvers[0]));
        escrow.approve(0);
        assertTrue(escrow.hasApproved(approvers[0]));
        assertFalse(escrow.hasApproved(approvers[1]));
    }

    function test_an_approval_is_revocable_until_the_threshold() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        vm.prank(approvers[0]);
        vm.expectRevert(abi.encodeWithSelector(NotApproved.selector, approvers[0]));
        escrow.revoke();
        approve(escrow, 1);
        vm.expectEmit(address(escrow));
        emit EscrowApprovalRevoked(approvers[0], 0, 0, 1, 3);
        vm.prank(approvers[0]);
        escrow.revoke();
        assertEq(escrow.approvals(), 0);
        approve(escrow, 2);
        vm.prank(approvers[0]);
        vm.expectRevert(ConditionsMet.selector);
        escrow.revoke();
        vm.prank(approvers[2]);
        vm.expectRevert(ConditionsMet.selector);
        escrow.approve(0);
    }

    /// An approval that arrives after its milestone's release must not count for the next one.
    function test_an_approval_names_its_milestone() public {
        Escrow escrow = openStaged(payee, NATIVE, 6 ether);
        approve(escrow, 2);
        skip(DELAY);
        escrow.release();
        assertEq(escrow.approvals(), 0);
        assertFalse(escrow.hasApproved(approvers[0]));
        vm.prank(approvers[2]);
        vm.expectRevert(abi.encodeWithSelector(WrongMilestone.selector, 0, 1));
        escrow.approve(0);
        vm.prank(approvers[2]);
        vm.expectRevert(abi.encodeWithSelector(WrongMilestone.selector, 2, 1));
        escrow.approve(2);
        approve(escrow, 2);
        assertState(escrow, EscrowState.Approved);
    }

    // -- By signature -------------------------------------------------------------------------------------------------

    function test_anybody_brings_a_signed_approval() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        bytes memory signature = sign(escrow, 0, 0, block.timestamp);
        vm.expectEmit(address(escrow));
        emit EscrowApproved(approvers[0], 0, 1, 1, 2);
        escrow.approveBySignature(approvers[0], 0, block.timestamp, signature);
        assertTrue(escrow.hasApproved(approvers[0]));
    }

    function test_a_signature_expires() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        uint256 until = block.timestamp + 1 hours;
        bytes memory signature = sign(escrow, 0, 0, until);
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(SignatureExpired.selector, until));
        escrow.approveBySignature(approvers[0], 0, until, signature);
        vm.warp(until);
        escrow.approveBySignature(approvers[0], 0, until, signature);
    }

    function refuse(Escrow escrow, address approver, uint256 milestone, uint256 until, bytes memory signature)
        private
    {
        vm.expectRevert(abi.encodeWithSelector(InvalidSignature.selector, approver));
        escrow.approveBySignature(approver, milestone, until, signature);
    }

    /// Every word that is signed binds: approver, milestone, deadline, escrow and chain.
    function test_a_signature_is_good_for_what_it_says_and_nothing_else() public {
        Escrow escrow = openStaged(payee, NATIVE, 6 ether);
        EscrowTerms memory second = stagedTerms(payee, NATIVE, 6 ether);
        second.ref = "second";
        Escrow twin = create(second);
        uint256 until = block.timestamp + 1 hours;
        bytes memory signature = sign(escrow, 0, 0, until);
        refuse(escrow, approvers[1], 0, until, signature);
        refuse(escrow, approvers[0], 1, until, signature);
        refuse(escrow, approvers[0], 0, until + 1, signature);
        refuse(twin, approvers[0], 0, until, signature);
        refuse(escrow, approvers[0], 0, until, abi.encodePacked(signature, uint8(0)));
        vm.chainId(block.chainid + 1);
        refuse(escrow, approvers[0], 0, until, signature);
        vm.chainId(block.chainid - 1);
        escrow.approveBySignature(approvers[0], 0, until, signature);
    }

    function test_a_strangers_signature_is_no_approval() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        (address stranger, uint256 key) = makeAddrAndKey("stranger");
        bytes32 digest = escrow.approvalDigest(stranger, 0, 0, block.timestamp);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        vm.expectRevert(abi.encodeWithSelector(NotApprover.selector, stranger));
        escrow.approveBySignature(stranger, 0, block.timestamp, abi.encodePacked(r, s, v));
    }

    /// Revoked means revoked: neither the signature that was used nor one that was not brings the approval back.
    function test_a_revoked_approval_cannot_be_replayed() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        uint256 until = block.timestamp + 1 days;
        bytes memory used = sign(escrow, 0, 0, until);
        bytes memory unused = sign(escrow, 1, 0, until);
        escrow.approveBySignature(approvers[0], 0, until, used);
        vm.prank(approvers[0]);
        escrow.revoke();
        refuse(escrow, approvers[0], 0, until, used);

        vm.startPrank(approvers[1]);
        escrow.approve(0);
        escrow.revoke();
        vm.stopPrank();
        refuse(escrow, approvers[1], 0, until, unused);
    }

    function test_an_approver_voids_what_it_has_signed() public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        bytes memory signature = sign(escrow, 0, 0, block.timestamp);
        vm.expectEmit(address(escrow));
        emit EscrowSignaturesCancelled(approvers[0], 0, 1, 2);
        vm.prank(approvers[0]);
        escrow.cancelSignatures();
        refuse(escrow, approvers[0], 0, block.timestamp, signature);
        vm.expectRevert(abi.encodeWithSelector(NotApprover.selector, address(this)));
        escrow.cancelSignatures();
    }

    function test_contract_wallets_sign_by_erc_1271() public {
        Wallet wallet = new Wallet();
        approvers[0] = address(wallet);
        Escrow escrow = open(payee, NATIVE, 1 ether);
        refuse(escrow, address(wallet), 0, block.timestamp, "");
        wallet.signDigest(escrow.approvalDigest(address(wallet), 0, 0, block.timestamp));
        escrow.approveBySignature(address(wallet), 0, block.timestamp, "");
        assertTrue(escrow.hasApproved(address(wallet)));
        vm.prank(address(wallet));
        escrow.revoke();
        refuse(escrow, address(wallet), 0, block.timestamp, "");
    }

    function testFuzz_only_the_approvers_own_key_signs(uint256 key) public {
        Escrow escrow = open(payee, NATIVE, 1 ether);
        key = bound(key, 1, 2 ** 128);
        vm.assume(vm.addr(key) != approvers[0]);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, escrow.approvalDigest(approvers[0], 0, 0, block.timestamp));
        refuse(escrow, approvers[0], 0, block.timestamp, abi.encodePacked(r, s, v));
    }
}
