// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Escrow} from "../src/Escrow.sol";
import {EscrowTerms} from "../src/escrow/EscrowTerms.sol";
import {NATIVE} from "../src/vault/VaultTypes.sol";
import {EscrowFixture} from "./escrow/EscrowFixture.sol";
import {DifficultReceiver} from "./escrow/Receivers.sol";
import {VaultFixture} from "./VaultFixture.sol";

// What users pay: one call a test, prepared in `setUp`, so that `.gas-snapshot` shows a change of price for what it is.

contract EscrowGasTest is EscrowFixture {
    EscrowTerms private wantedNative;
    EscrowTerms private wantedToken;
    bytes private signature;
    Escrow private fresh;
    Escrow private half;
    Escrow private met;
    Escrow private disputed;
    Escrow private overdue;
    Escrow private deferred;
    DifficultReceiver private receiver;

    function setUp() public override {
        super.setUp();
        wantedNative = stagedTerms(payee, NATIVE, 6 ether);
        wantedToken = stagedTerms(payee, address(usdc), 600e6);
        fresh = prepared("fresh", 0, payee);
        signature = sign(fresh, 0, 0, type(uint64).max);
        half = prepared("half", 1, payee);
        overdue = prepared("overdue", 1, payee);
        met = prepared("met", 2, payee);
        skip(DELAY);
        disputed = prepared("disputed", 2, payee);
        disputeBy(disputed, payee);
        receiver = new DifficultReceiver();
        deferred = prepared("deferred", 2, address(receiver));
        skip(DELAY);
        deferred.release();
        receiver.set(DifficultReceiver.Mode.Accept);
    }

    function prepared(bytes32 ref, uint256 approvals, address to) private returns (Escrow escrow) {
        EscrowTerms memory wanted = stagedTerms(to, NATIVE, 6 ether);
        wanted.ref = ref;
        escrow = create(wanted);
        approve(escrow, approvals);
    }

    function test_gas_create_native() public {
        vm.prank(payer);
        factory.createEscrow{value: 6 ether}(wantedNative);
    }

    function test_gas_create_token() public {
        vm.prank(payer);
        factory.createEscrow(wantedToken);
    }

    function test_gas_approve() public {
        vm.prank(approvers[0]);
        fresh.approve(0);
    }

    function test_gas_approve_by_signature() public {
        fresh.approveBySignature(approvers[0], 0, type(uint64).max, signature);
    }

    function test_gas_approve_the_last() public {
        vm.prank(approvers[1]);
        half.approve(0);
    }

    function test_gas_revoke() public {
        vm.prank(approvers[0]);
        half.revoke();
    }

    function test_gas_release() public {
        met.release();
    }

    function test_gas_rule() public {
        vm.prank(arbiter);
        disputed.rule(4 ether);
    }

    function test_gas_refund() public {
        vm.warp(deadline);
        vm.prank(payer);
        overdue.refund();
    }

    function test_gas_claim() public {
        receiver.claim(deferred, payee);
    }
}

contract VaultGasTest is VaultFixture {
    function setUp() public override {
        super.setUp();
        deposit(alice, address(weth), 10 ether);
        borrow(alice, address(usdc), 10_000e6);
        deposit(bob, address(weth), 10 ether);
        borrow(bob, address(usdc), 15_000e6);
        for (uint256 i = 0; i < 2; ++i) fund(i == 0 ? alice : liquidator, address(usdc), 20_000e6);
        fund(alice, address(weth), 10 ether);
        pass(1 hours);
        wethFeed.updateAnswer(1_800e8);
    }

    function test_gas_supply() public {
        vm.prank(alice);
        vault.supply(address(usdc), 1_000e6);
    }

    function test_gas_redeem() public {
        vm.prank(lender);
        vault.redeem(address(usdc), 1_000e6, lender);
    }

    function test_gas_deposit() public {
        vm.prank(alice);
        vault.depositCollateral(address(weth), 1 ether);
    }

    function test_gas_withdraw_with_debt() public {
        vm.prank(alice);
        vault.withdrawCollateral(address(weth), 1 ether, alice);
    }

    function test_gas_borrow() public {
        borrow(alice, address(usdc), 100e6);
    }

    function test_gas_repay() public {
        vm.prank(alice);
        vault.repay(address(usdc), 1_000e6, alice);
    }

    function test_gas_liquidate() public {
        vm.prank(liquidator);
        vault.liquidate(bob, address(usdc), address(weth), 5_000e6);
    }
}
