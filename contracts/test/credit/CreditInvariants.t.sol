// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "forge-std/Test.sol";
import {CreditRefs, Grant, GrantStatus, Lock} from "../../src/credit/CreditTypes.sol";
import {RAY, Reserve} from "../../src/vault/VaultTypes.sol";
import {Market} from "./CreditFixture.sol";
import {CreditHandler} from "./CreditHandler.sol";

/// @notice After any sequence of actions and deliveries: no credit without its lock, on either chain, and whatever
/// happened every lock comes to its end.
contract CreditInvariantsTest is Test {
    CreditHandler private handler;

    /// @dev Sums over the live locks, by the chain that is their home.
    mapping(uint64 chainId => uint256) private collateral;
    mapping(uint64 chainId => uint256) private onLines;
    mapping(address account => uint256) private lines;

    function setUp() public {
        handler = new CreditHandler();
        handler.setUp();
        bytes4[] memory actions = new bytes4[](19);
        actions[0] = handler.lockCollateral.selector;
        actions[1] = handler.release.selector;
        actions[2] = handler.borrow.selector;
        actions[3] = handler.repay.selector;
        actions[4] = handler.depositAbroad.selector;
        actions[5] = handler.withdrawAbroad.selector;
        actions[6] = handler.callIn.selector;
        actions[7] = handler.seize.selector;
        actions[8] = handler.endTerm.selector;
        actions[9] = handler.callCredit.selector;
        actions[10] = handler.writeOff.selector;
        actions[11] = handler.liquidate.selector;
        actions[12] = handler.setLane.selector;
        actions[13] = handler.movePrice.selector;
        actions[14] = handler.pass.selector;
        actions[15] = handler.deliver.selector;
        actions[16] = handler.deliverAgain.selector;
        actions[17] = handler.lose.selector;
        actions[18] = handler.resend.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector(address(handler), actions));
    }

    /// forge-config: default.invariant.runs = 8
    /// forge-config: default.invariant.depth = 1000
    /// forge-config: default.invariant.dictionary-weight = 0
    /// forge-config: default.invariant.include-storage = false
    /// forge-config: default.invariant.include-push-bytes = false
    function invariant_credit_is_backed() public {
        (Market memory first, Market memory second) = handler.markets();
        for (uint256 i = 0; i < handler.liveCount(); ++i) {
            bytes32 ref = handler.live(i);
            bool atFirst = CreditRefs.chainOf(ref) == first.id;
            assertBacked(ref, atFirst ? first : second, atFirst ? second : first);
        }
        assertBooks(first, second.id);
        assertBooks(second, first.id);
        for (uint256 i = 0; i < handler.actorCount(); ++i) {
            address actor = handler.actors(i);
            Market memory there = i % 2 == 0 ? second : first;
            assertEq(there.vault.creditLineOf(actor), lines[actor], "line = its grants");
            delete lines[actor];
        }
        (collateral[first.id], collateral[second.id], onLines[first.id], onLines[second.id]) = (0, 0, 0, 0);
    }

    /// @dev Nothing that happened keeps a lock from its end, and no action was idle.
    function afterInvariant() public {
        handler.windUp();
        assertCounts();
        (Market memory first, Market memory second) = handler.markets();
        for (uint256 i = 0; i < handler.refCount(); ++i) {
            bytes32 ref = handler.refs(i);
            bool atFirst = CreditRefs.chainOf(ref) == first.id;
            assertEq((atFirst ? first : second).remote.lockOf(ref).credit, 0, "a lock without an end");
            assertEq((atFirst ? second : first).remote.grantOf(ref).amount, 0, "a grant without an end");
        }
        assertEq(first.vault.collateralOf(address(first.remote), address(first.weth)), 0, "all collateral returned");
        assertEq(second.vault.collateralOf(address(second.remote), address(second.weth)), 0, "all collateral returned");
    }

    function assertCounts() private view {
        bytes32[15] memory often = [
            bytes32("lock"), "release", "borrow", "repay", "deposit", "withdraw",
            "callIn", "setLane", "deliver", "again", "stored", "retry",
            "lose", "resend", "resendLost"
        ];
        bytes32[5] memory seldom = [bytes32("seize"), "endTerm", "call", "writeOff", "liquidate"];
        for (uint256 i = 0; i < often.length; ++i) {
            assertGe(handler.done(often[i]), 3, string(abi.encodePacked(often[i])));
        }
        for (uint256 i = 0; i < seldom.length; ++i) {
            assertGe(handler.done(seldom[i]), 1, string(abi.encodePacked(seldom[i])));
        }
    }

    /// @dev The credit of a lock is granted or on its way, never both, never more.
    function assertBacked(bytes32 ref, Market memory here, Market memory there) private {
        Lock memory lock = here.remote.lockOf(ref);
        Grant memory grant = there.remote.grantOf(ref);
        assertEq(lock.credit, grant.amount + handler.moving(ref), "lock = grant + on its way");
        assertLe(grant.amount + handler.granting(ref), lock.credit, "credit <= lock");
        assertTrue(lock.credit != 0 || lock.collateral == 0, "an ended lock keeps nothing");
        collateral[here.id] += lock.collateral;
        if (grant.status != GrantStatus.LIVE) return;
        onLines[here.id] += grant.amount;
        lines[grant.account] += grant.amount;
    }

    function assertBooks(Market memory here, uint64 other) private view {
        assertEq(here.vault.collateralOf(address(here.remote), address(here.weth)), collateral[here.id], "collateral");
        assertEq(here.remote.laneOf(other).granted, onLines[other], "lane = its grants");
        Reserve memory reserve = here.vault.reserveOf(address(here.usdc));
        uint256 debt = reserve.scaledDebt * reserve.borrowIndex / RAY;
        assertGe((reserve.cash + debt) * RAY, reserve.scaledSupply * reserve.supplyIndex, "lenders covered");
    }
}
