// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {Escrow} from "../../src/Escrow.sol";
import {EscrowState, EscrowTerms} from "../../src/escrow/EscrowTerms.sol";
import {IEscrowFactory} from "../../src/escrow/IEscrowFactory.sol";
import {NATIVE} from "../../src/vault/VaultTypes.sol";
import {EscrowFixture} from "./EscrowFixture.sol";
import {BlockingToken, SilentToken} from "./Receivers.sol";

contract EscrowCreationTest is EscrowFixture {
    function test_creation_funds_and_tells_at_the_predicted_address() public {
        address expected = factory.predictEscrow(payer, "ref");
        EscrowTerms memory wanted = stagedTerms(payee, address(usdc), 600e6);
        vm.expectEmit(address(factory));
        emit IEscrowFactory.EscrowCreated(expected, payer, payee, address(usdc), 600e6, "ref", 1);
        vm.expectEmit(expected);
        emit EscrowFunded(payer, payee, wanted, 600e6, 1);
        Escrow escrow = create(wanted);
        assertEq(address(escrow), expected);
        assertEq(usdc.balanceOf(expected), 600e6);
        assertState(escrow, EscrowState.Funded);
        assertEq(escrow.payer(), payer);
        assertEq(escrow.payee(), payee);
        assertEq(escrow.token(), address(usdc));
        assertEq(escrow.remaining(), 600e6);
        assertEq(escrow.threshold(), 2);
        assertEq(escrow.deadline(), deadline);
        assertEq(escrow.ref(), "ref");
        assertEq(escrow.arbiter(), arbiter);
        assertEq(escrow.releaseDelay(), DELAY);
        assertEq(escrow.rulingPeriod(), RULING);
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(escrow.milestones(i), (i + 1) * 100e6);
            assertTrue(escrow.isApprover(approvers[i]));
        }
    }

    /// The salt binds the payer: another payer's escrow with the same reference has another address, and a payer's
    /// reference works once.
    function test_an_address_belongs_to_one_payer_and_one_reference() public {
        EscrowTerms memory wanted = terms(payee, NATIVE, 1 ether);
        create(wanted);
        vm.prank(payer);
        vm.expectRevert(Errors.FailedDeployment.selector);
        factory.createEscrow{value: 1 ether, gas: 2_000_000}(wanted);
        address other = makeAddr("other");
        assertNotEq(factory.predictEscrow(other, "ref"), factory.predictEscrow(payer, "ref"));
        vm.deal(other, 1 ether);
        vm.prank(other);
        assertEq(factory.createEscrow{value: 1 ether}(wanted), factory.predictEscrow(other, "ref"));
    }

    function test_only_the_factory_initializes_and_only_once() public {
        EscrowTerms memory wanted = terms(payee, NATIVE, 1 ether);
        Escrow escrow = create(wanted);
        Escrow implementation = Escrow(factory.implementation());
        vm.expectRevert(OnlyFactory.selector);
        escrow.initialize(payer, wanted);
        vm.expectRevert(OnlyFactory.selector);
        implementation.initialize(payer, wanted);
        vm.prank(address(factory));
        vm.expectRevert(OnlyFactory.selector);
        escrow.initialize(payer, wanted);
    }

    function refuse(EscrowTerms memory bad) private {
        uint256 value;
        for (uint256 i = 0; i < bad.milestones.length; ++i) value += bad.milestones[i];
        vm.prank(payer);
        vm.expectRevert(InvalidTerms.selector);
        factory.createEscrow{value: value}(bad);
    }

    function staged() private view returns (EscrowTerms memory) {
        return stagedTerms(payee, NATIVE, 6 ether);
    }

    function test_parties_that_cannot_be_are_refused() public {
        refuse(terms(address(0), NATIVE, 1 ether));
        refuse(terms(payer, NATIVE, 1 ether));
        refuse(terms(factory.predictEscrow(payer, "ref"), NATIVE, 1 ether));
        EscrowTerms memory bad = staged();
        bad.arbiter = payer;
        refuse(bad);
        bad.arbiter = payee;
        refuse(bad);
    }

    function test_approvers_that_cannot_decide_are_refused() public {
        EscrowTerms memory bad = staged();
        bad.threshold = 0;
        refuse(bad);
        bad.threshold = 4;
        refuse(bad);
        bad = staged();
        bad.approvers[1] = bad.approvers[0];
        refuse(bad);
        bad.approvers[1] = address(0);
        refuse(bad);
        bad.approvers = new address[](17);
        refuse(bad);
    }

    function test_times_and_amounts_that_make_no_sense_are_refused() public {
        EscrowTerms memory bad = staged();
        bad.deadline = uint64(block.timestamp);
        refuse(bad);
        bad = staged();
        bad.releaseDelay = 0;
        refuse(bad);
        bad = staged();
        bad.rulingPeriod = 0;
        refuse(bad);
        bad = staged();
        bad.arbiter = address(0);
        refuse(bad);
        bad = staged();
        bad.milestones[1] = 0;
        refuse(bad);
        bad.milestones = new uint256[](0);
        refuse(bad);
        bad.milestones = new uint256[](33);
        for (uint256 i = 0; i < 33; ++i) bad.milestones[i] = 1;
        refuse(bad);
    }

    function test_the_most_that_terms_may_hold_works() public {
        EscrowTerms memory wanted = terms(payee, NATIVE, 1);
        wanted.approvers = new address[](16);
        for (uint256 i = 0; i < 16; ++i) wanted.approvers[i] = address(uint160(1_000 + i));
        wanted.threshold = 16;
        wanted.milestones = new uint256[](32);
        for (uint256 i = 0; i < 32; ++i) wanted.milestones[i] = i + 1;
        Escrow escrow = create(wanted);
        for (uint256 i = 0; i < 32; ++i) {
            for (uint256 k = 0; k < 16; ++k) {
                vm.prank(wanted.approvers[k]);
                escrow.approve(i);
            }
            escrow.release();
        }
        assertState(escrow, EscrowState.Released);
        assertEq(payee.balance, 32 * 33 / 2);
    }

    function test_a_token_must_be_a_contract() public {
        EscrowTerms memory bad = terms(payee, makeAddr("no token"), 1e6);
        vm.prank(payer);
        vm.expectRevert();
        factory.createEscrow(bad);
    }

    function test_native_value_must_be_the_amount_and_tokens_take_none() public {
        vm.startPrank(payer);
        vm.expectRevert(abi.encodeWithSelector(WrongValue.selector, 2 ether, 1 ether));
        factory.createEscrow{value: 1 ether}(terms(payee, NATIVE, 2 ether));
        vm.expectRevert(abi.encodeWithSelector(WrongValue.selector, 0, 1));
        factory.createEscrow{value: 1}(terms(payee, address(usdc), 1e6));
        vm.stopPrank();
    }

    /// A gift to the known address does not make up for what a fee takes.
    function test_fee_on_transfer_is_refused() public {
        BlockingToken token = new BlockingToken();
        token.mint(payer, 100e6);
        token.mint(factory.predictEscrow(payer, "ref"), 50e6);
        token.setFee(1e6);
        vm.startPrank(payer);
        token.approve(address(factory), type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(IEscrowFactory.TransferShortfall.selector, 100e6, 99e6));
        factory.createEscrow(terms(payee, address(token), 100e6));
        vm.stopPrank();
    }

    function test_a_token_that_answers_nothing_works() public {
        SilentToken token = new SilentToken();
        token.mint(payer, 100e6);
        Escrow escrow = open(payee, address(token), 100e6);
        approve(escrow, 2);
        escrow.release();
        assertEq(token.balanceOf(payee), 100e6);
    }

    function test_the_factory_counts_its_events() public {
        create(terms(payee, NATIVE, 1 ether));
        EscrowTerms memory second = terms(payee, NATIVE, 1 ether);
        second.ref = "second";
        vm.expectEmit(address(factory));
        emit IEscrowFactory.EscrowCreated(
            factory.predictEscrow(payer, "second"), payer, payee, NATIVE, 1 ether, "second", 2
        );
        create(second);
    }
}
