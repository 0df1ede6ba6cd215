// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CommonBase} from "forge-std/Base.sol";
import {StdCheats} from "forge-std/StdCheats.sol";
import {StdUtils} from "forge-std/StdUtils.sol";
import {Escrow} from "../../src/Escrow.sol";
import {EscrowState} from "../../src/escrow/EscrowTerms.sol";
import {ScreeningList} from "../../src/escrow/ScreeningList.sol";
import {BlockingToken} from "./Receivers.sol";

/// @notice Everything that can happen to an escrow, in any order: approvals by transaction and by signature, disputes,
/// rulings, refunds, claims, and receivers that token and screening refuse now and then. A refused action must be
/// refused by name, and a payment must follow its own rule.
contract EscrowHandler is CommonBase, StdCheats, StdUtils {
    BlockingToken private immutable TOKEN;
    ScreeningList private immutable LIST;
    Escrow public escrow;
    function() external returns (Escrow) private reopen;
    uint256[] private keys;
    address[] public approvers;

    /// @dev Successes of each action, by its selector.
    mapping(bytes4 action => uint256) public successes;
    Escrow[] public escrows;

    constructor(
        BlockingToken token,
        ScreeningList list,
        function() external returns (Escrow) reopen_,
        address[] memory approvers_,
        uint256[] memory keys_
    ) {
        TOKEN = token;
        LIST = list;
        reopen = reopen_;
        approvers = approvers_;
        keys = keys_;
        open();
    }

    function count() external view returns (uint256) {
        return escrows.length;
    }

    // -- Actions ------------------------------------------------------------------------------------------------------

    function approve(uint256 who) external {
        openIfFinished();
        uint256 milestone = escrow.milestone();
        attempt(approvers[who % approvers.length], abi.encodeCall(Escrow.approve, (milestone)));
    }

    function approveBySignature(uint256 who) external {
        openIfFinished();
        who %= approvers.length;
        (address approver, uint256 milestone) = (approvers[who], escrow.milestone());
        bytes32 digest = escrow.approvalDigest(approver, milestone, escrow.nonces(approver), block.timestamp);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[who], digest);
        bytes memory signature = abi.encodePacked(r, s, v);
        attempt(
            address(this), abi.encodeCall(Escrow.approveBySignature, (approver, milestone, block.timestamp, signature))
        );
    }

    /// @dev Of somebody who has approved, if there is one.
    function revoke(uint256 who) external {
        for (uint256 i = 0; i < approvers.length && !escrow.hasApproved(approvers[who % approvers.length]); ++i) {
            who = who % approvers.length + 1;
        }
        attempt(approvers[who % approvers.length], abi.encodeCall(Escrow.revoke, ()));
    }

    function cancelSignatures(uint256 who) external {
        attempt(approvers[who % approvers.length], abi.encodeCall(Escrow.cancelSignatures, ()));
    }

    /// @dev Half of the draws wait for the delay or the dispute to be over: else most escrows would stand still.
    function release(uint256 draw) external {
        uint256 over = escrow.state() == EscrowState.Disputed ? escrow.rulingDeadline() : escrow.releasableAt();
        if (draw % 2 == 0 && over > block.timestamp) vm.warp(over);
        bool met = escrow.approvals() >= escrow.threshold();
        bool done = attempt(address(this), abi.encodeCall(Escrow.release, ()));
        require(met || !done, "released without approval");
    }

    function refund() external {
        bool met = escrow.approvals() >= escrow.threshold();
        bool done = attempt(escrow.payer(), abi.encodeCall(Escrow.refund, ()));
        require(!done || (!met && block.timestamp >= escrow.deadline()), "refunded out of turn");
    }

    /// @dev Half of the draws: a dispute at every approval would leave nothing to release.
    function dispute(uint256 draw) external {
        if (draw % 2 != 0) return;
        attempt(draw % 4 == 0 ? escrow.payer() : escrow.payee(), abi.encodeCall(Escrow.dispute, ()));
    }

    function rule(uint256 share) external {
        uint256 toPayee = _bound(share, 0, escrow.remaining());
        attempt(escrow.arbiter(), abi.encodeCall(Escrow.rule, (toPayee)));
    }

    /// @dev Of any escrow: what is owed waits for as long as it takes.
    function claim(uint256 which, bool byPayer, bool elsewhere) external {
        Escrow from = escrows[which % escrows.length];
        address who = byPayer ? from.payer() : from.payee();
        address to = elsewhere ? approvers[0] : who;
        bool allowed = byPayer || (LIST.isAllowed(who) && LIST.isAllowed(to));
        uint256 owed = from.owed(who);
        bool done = attemptAt(from, who, abi.encodeCall(Escrow.claim, (to)));
        require(done == (allowed && owed != 0 && !TOKEN.blocked(to)), "claim");
    }

    function returnToPayer(uint256 which) external {
        Escrow from = escrows[which % escrows.length];
        attemptAt(from, from.payee(), abi.encodeCall(Escrow.returnToPayer, ()));
    }

    /// @dev A seventh of the draws blocks each.
    function changeReceivers(uint256 draw) external {
        TOKEN.setBlocked(escrow.payee(), draw % 7 == 0);
        TOKEN.setBlocked(escrow.payer(), (draw >> 16) % 7 == 0);
        address[] memory accounts = new address[](2);
        (accounts[0], accounts[1]) = (escrow.payee(), approvers[0]);
        LIST.setAllowed(accounts, (draw >> 32) % 7 != 0);
    }

    function pass(uint256 time) external {
        skip(_bound(time, 1, 2 days));
    }

    // -- Parts --------------------------------------------------------------------------------------------------------

    function openIfFinished() private {
        if (escrow.remaining() == 0 && escrows.length < 20) open();
    }

    /// @dev Whom token and screening refused last may be whom this escrow needs: it begins with a clean slate.
    function open() private {
        if (escrows.length != 0) {
            TOKEN.setBlocked(escrow.payer(), false);
            address[] memory accounts = new address[](1);
            accounts[0] = escrow.payee();
            LIST.setAllowed(accounts, true);
        }
        escrow = reopen();
        escrows.push(escrow);
    }

    function attempt(address actor, bytes memory data) private returns (bool) {
        return attemptAt(escrow, actor, data);
    }

    function attemptAt(Escrow target, address actor, bytes memory data) private returns (bool ok) {
        bytes memory answer;
        vm.prank(actor);
        (ok, answer) = address(target).call(data);
        if (ok) ++successes[bytes4(data)];
        else require(answer.length >= 4 && bytes4(answer) != bytes4(0x4e487b71), "refused without a name");
    }
}
