// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "forge-std/Test.sol";
import {Escrow} from "../../src/Escrow.sol";
import {EscrowFactory} from "../../src/EscrowFactory.sol";
import {EscrowState, EscrowTerms} from "../../src/escrow/EscrowTerms.sol";
import {IEscrowEvents} from "../../src/escrow/IEscrowEvents.sol";
import {NATIVE} from "../../src/vault/VaultTypes.sol";
import {TestToken} from "../../src/dev/TestToken.sol";

/// @notice A factory, a payer with money and allowance, three approvers of whom two decide, and an arbiter.
abstract contract EscrowFixture is Test, IEscrowEvents {
    uint32 internal constant DELAY = 2 days;
    uint32 internal constant RULING = 5 days;

    EscrowFactory internal factory;
    TestToken internal usdc;
    address internal payer = makeAddr("payer");
    address internal payee = makeAddr("payee");
    address internal arbiter = makeAddr("arbiter");
    address internal admin = makeAddr("admin");
    address[] internal approvers;
    uint256[] internal keys;
    uint64 internal deadline;

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        factory = new EscrowFactory(admin);
        usdc = new TestToken("USD Coin", "USDC", 6);
        string[3] memory names = ["approver 1", "approver 2", "approver 3"];
        for (uint256 i = 0; i < names.length; ++i) {
            (address approver, uint256 key) = makeAddrAndKey(names[i]);
            approvers.push(approver);
            keys.push(key);
        }
        deadline = uint64(block.timestamp + 7 days);
        vm.deal(payer, 100 ether);
        usdc.mint(payer, 1_000_000e6);
        vm.prank(payer);
        usdc.approve(address(factory), type(uint256).max);
    }

    /// @dev One milestone, no delay, no arbiter.
    function terms(address to, address token, uint256 amount) internal view returns (EscrowTerms memory made) {
        made.payee = to;
        made.token = token;
        made.threshold = 2;
        made.deadline = deadline;
        made.approvers = approvers;
        made.milestones = new uint256[](1);
        made.milestones[0] = amount;
        made.ref = "ref";
    }

    /// @dev Three milestones of 1, 2 and 3 parts of six, a delay and an arbiter.
    function stagedTerms(address to, address token, uint256 amount) internal view returns (EscrowTerms memory made) {
        made = terms(to, token, amount);
        made.arbiter = arbiter;
        made.releaseDelay = DELAY;
        made.rulingPeriod = RULING;
        made.milestones = new uint256[](3);
        for (uint256 i = 0; i < 3; ++i) made.milestones[i] = amount * (i + 1) / 6;
    }

    function create(EscrowTerms memory wanted) internal returns (Escrow) {
        uint256 value;
        if (wanted.token == NATIVE) {
            for (uint256 i = 0; i < wanted.milestones.length; ++i) value += wanted.milestones[i];
        }
        vm.prank(payer);
        return Escrow(factory.createEscrow{value: value}(wanted));
    }

    function open(address to, address token, uint256 amount) internal returns (Escrow) {
        return create(terms(to, token, amount));
    }

    function openStaged(address to, address token, uint256 amount) internal returns (Escrow) {
        return create(stagedTerms(to, token, amount));
    }

    function approve(Escrow escrow, uint256 count) internal {
        uint256 current = escrow.milestone();
        for (uint256 i = 0; i < count; ++i) {
            vm.prank(approvers[i]);
            escrow.approve(current);
        }
    }

    function disputeBy(Escrow escrow, address party) internal {
        vm.prank(party);
        escrow.dispute();
    }

    function sign(Escrow escrow, uint256 who, uint256 milestone, uint256 until) internal view returns (bytes memory) {
        bytes32 digest = escrow.approvalDigest(approvers[who], milestone, escrow.nonces(approvers[who]), until);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[who], digest);
        return abi.encodePacked(r, s, v);
    }

    function assertState(Escrow escrow, EscrowState expected) internal view {
        assertEq(uint256(escrow.state()), uint256(expected), "state");
    }

    function wrongState(EscrowState state) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(WrongState.selector, state);
    }
}
