// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowTerms} from "../../src/escrow/EscrowTerms.sol";
import {IEscrowFactory, Permit} from "../../src/escrow/IEscrowFactory.sol";
import {NATIVE} from "../../src/vault/VaultTypes.sol";
import {EscrowFixture} from "./EscrowFixture.sol";
import {PermitToken} from "./Receivers.sol";

contract EscrowPermitTest is EscrowFixture {
    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    PermitToken private token;
    uint256 private payerKey;

    function setUp() public override {
        super.setUp();
        (payer, payerKey) = makeAddrAndKey("payer");
        token = new PermitToken();
        token.mint(payer, 600);
    }

    function permit(uint256 value) private view returns (Permit memory signed) {
        signed.deadline = block.timestamp;
        bytes32 content =
            keccak256(abi.encode(PERMIT_TYPEHASH, payer, factory, value, token.nonces(payer), signed.deadline));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), content));
        (signed.v, signed.r, signed.s) = vm.sign(payerKey, digest);
    }

    function wanted() private view returns (EscrowTerms memory) {
        return stagedTerms(payee, address(token), 600);
    }

    function test_the_typehash_is_the_standards() public pure {
        assertEq(PERMIT_TYPEHASH, 0x6e71edae12b1b97f4d1f60370fef10105fa2faae0126114a169c64845d6126c9);
    }

    function test_a_permit_funds_without_an_allowance() public {
        Permit memory signed = permit(600);
        vm.prank(payer);
        address escrow = factory.createEscrowWithPermit(wanted(), signed);
        assertEq(token.balanceOf(escrow), 600);
        assertEq(token.allowance(payer, address(factory)), 0);
    }

    /// Whoever sees the permit in the pool may use it first. That costs the payer nothing.
    function test_a_permit_that_is_used_before_blocks_nothing() public {
        Permit memory signed = permit(600);
        vm.prank(makeAddr("front runner"));
        token.permit(payer, address(factory), 600, signed.deadline, signed.v, signed.r, signed.s);
        vm.prank(payer);
        address escrow = factory.createEscrowWithPermit(wanted(), signed);
        assertEq(token.balanceOf(escrow), 600);
    }

    function test_a_permit_over_too_little_is_refused_by_name() public {
        Permit memory signed = permit(599);
        vm.prank(payer);
        vm.expectRevert(abi.encodeWithSelector(IEscrowFactory.InsufficientAllowance.selector, 600, 0));
        factory.createEscrowWithPermit(wanted(), signed);
    }

    /// A permit is its owner's: somebody else who brings it pays with their own money, or not at all.
    function test_a_strangers_permit_moves_no_money() public {
        Permit memory signed = permit(600);
        vm.prank(makeAddr("stranger"));
        vm.expectRevert(abi.encodeWithSelector(IEscrowFactory.InsufficientAllowance.selector, 600, 0));
        factory.createEscrowWithPermit(wanted(), signed);
        assertEq(token.balanceOf(payer), 600);
    }

    function test_a_token_without_permits_needs_its_allowance() public {
        Permit memory signed = permit(600);
        vm.startPrank(payer);
        usdc.approve(address(factory), 599);
        EscrowTerms memory other = stagedTerms(payee, address(usdc), 600);
        vm.expectRevert(abi.encodeWithSelector(IEscrowFactory.InsufficientAllowance.selector, 600, 599));
        factory.createEscrowWithPermit(other, signed);
        usdc.approve(address(factory), 600);
        factory.createEscrowWithPermit(other, signed);
        vm.stopPrank();
    }

    function test_native_currency_has_no_permit() public {
        Permit memory signed = permit(600);
        vm.prank(payer);
        vm.expectRevert(abi.encodeWithSelector(IEscrowFactory.NotAToken.selector, NATIVE));
        factory.createEscrowWithPermit(stagedTerms(payee, NATIVE, 600), signed);
    }
}
