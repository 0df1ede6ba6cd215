// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Grant, GrantStatus, Lock} from "../../src/credit/CreditTypes.sol";
import {AccountValue} from "../../src/vault/VaultTypes.sol";
import {CreditCarrier} from "./CreditCarrier.sol";
import {Market} from "./CreditFixture.sol";

/// @notice Accounts at home on either chain, credit in both directions, prices and time that move.
contract CreditHandler is CreditCarrier {
    uint256 private constant MAX_LIVE = 12;
    bytes32 private constant NONE = bytes32(0);

    address[] public actors;
    /// @dev Every lock ever made, and those that still hold something.
    bytes32[] public refs;
    bytes32[] public live;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < 4; ++i) {
            address actor = address(uint160(0xC4ED1700 + i));
            actors.push(actor);
            for (uint256 k = 0; k < 2; ++k) {
                Market storage market = k == 0 ? home : abroad;
                deposit(market, actor, k == i % 2 ? 1_000 ether : 1);
                vm.prank(actor);
                market.usdc.approve(address(market.vault), type(uint256).max);
            }
        }
    }

    function refCount() external view returns (uint256) {
        return refs.length;
    }

    function liveCount() external view returns (uint256) {
        return live.length;
    }

    function actorCount() external view returns (uint256) {
        return actors.length;
    }

    function markets() external view returns (Market memory, Market memory) {
        return (home, abroad);
    }

    // -- Accounts -----------------------------------------------------------------------------------------------------

    /// @dev Credit near what the collateral allows, so that prices make calls.
    function lockCollateral(uint128 who, uint256 size, uint256 percent, uint256 term) external {
        for (uint256 i = 0; i < 2 && live.length < MAX_LIVE; ++i) {
            lockOne(who + i, size, percent, term >> i);
        }
    }

    function lockOne(uint256 who, uint256 size, uint256 percent, uint256 term) private {
        Market storage here = who % 2 == 0 ? home : abroad;
        bytes memory data = lockData(here, _bound(size, 0.1 ether, 10 ether), percent, term, bridgeOf(size));
        (bool ok, bytes memory answerData) =
            attempt("lock", here, address(here.remote), actors[who % actors.length], data, FEE);
        if (!ok) return;
        bytes32 ref = abi.decode(answerData, (bytes32));
        refs.push(ref);
        live.push(ref);
        sent(here, size);
    }

    function lockData(Market storage here, uint256 amount, uint256 percent, uint256 term, bytes32 bridge)
        private
        view
        returns (bytes memory)
    {
        (uint256 answer, uint256 unit) = here.vault.quoteOf(address(here.weth));
        uint256 credit = amount * answer / unit * 75 / 100 * _bound(percent, 70, 101) / 100;
        uint64 deadline = uint64(block.timestamp + _bound(term, 1 days, 10 days));
        uint64 dst = here.id == home.id ? abroad.id : home.id;
        return abi.encodeCall(here.remote.lock, (address(here.weth), amount, credit, dst, bridge, deadline));
    }

    function release(uint256 which, uint256 share, uint256 bridge) external {
        bytes32 ref = find(which, isGranted);
        if (ref == NONE) return;
        Market storage there_ = away(ref);
        Grant memory grant = there_.remote.grantOf(ref);
        uint256 amount = _bound(share, 1, share % 4 == 0 ? grant.amount : grant.amount / 4 + 1);
        bytes memory data = abi.encodeCall(there_.remote.release, (ref, amount, bridgeOf(bridge)));
        sending("release", there_, grant, data, bridge);
    }

    /// @dev Mostly all that the account can (debt rounds up: less two units), so that interest makes it unhealthy.
    function borrow(uint256 who, uint256 percent) public {
        for (uint256 i = 0; i < actors.length; ++i) {
            (address actor, Market storage there_) = debtor(who % 4 + i);
            AccountValue memory value = there_.vault.valueOf(actor);
            uint256 power = value.borrowingPower / 10_000;
            if (power < value.debtUsd + 100e8) continue;
            uint256 share = percent % 4 == 0 ? _bound(percent, 1, 100) : 100;
            uint256 amount = (power - value.debtUsd) * share / 100 / 100 - 2;
            bytes memory data = abi.encodeCall(there_.vault.borrow, (address(there_.usdc), amount, actor));
            attempt("borrow", there_, address(there_.vault), actor, data, 0);
            return;
        }
    }

    /// @dev Mostly by the accounts that have local collateral: the others default.
    function repay(uint256 who, uint256 percent) external {
        (address actor, Market storage there_) = debtor(percent % 3 == 0 ? who : who % 2);
        uint256 share = percent % 2 == 0 ? 110 : _bound(percent, 1, 100);
        uint256 amount = there_.vault.debtOf(actor, address(there_.usdc)) * share / 100;
        there_.usdc.mint(actor, amount);
        bytes memory data = abi.encodeCall(there_.vault.repay, (address(there_.usdc), amount, actor));
        attempt("repay", there_, address(there_.vault), actor, data, 0);
    }

    /// @dev Local collateral besides the credit: of half the accounts, so that the others' defaults are bad debt.
    function depositAbroad(uint256 who, uint256 size) public {
        (address actor, Market storage there_) = debtor(who % 2);
        uint256 amount = _bound(size, 1, 1 ether);
        there_.weth.mint(actor, amount);
        bytes memory data = abi.encodeCall(there_.vault.depositCollateral, (address(there_.weth), amount));
        attempt("deposit", there_, address(there_.vault), actor, data, 0);
    }

    function withdrawAbroad(uint256 who, uint256 share) external {
        (address actor, Market storage there_) = debtor(who);
        uint256 held = there_.vault.collateralOf(actor, address(there_.weth));
        uint256 amount = share % 2 == 0 ? held : _bound(share, 0, held);
        bytes memory data = abi.encodeCall(there_.vault.withdrawCollateral, (address(there_.weth), amount, actor));
        attempt("withdraw", there_, address(there_.vault), actor, data, 0);
    }

    // -- Anyone and the desk ------------------------------------------------------------------------------------------

    function callIn(uint256 which, uint256 bridge) external {
        bytes32 ref = find(which, isOver);
        if (ref == NONE) return;
        Market storage there_ = away(ref);
        bytes memory data = abi.encodeCall(there_.remote.callIn, (ref, bridgeOf(bridge)));
        sending("callIn", there_, there_.remote.grantOf(ref), data, bridge);
    }

    function seize(uint256 which, uint256 bridge) external {
        bytes32 ref = find(which, isOverdue);
        if (ref == NONE) return;
        Market storage there_ = away(ref);
        bytes memory data = abi.encodeCall(there_.remote.seize, (ref, bridgeOf(bridge)));
        (bool ok,) = attempt("seize", there_, address(there_.remote), desk, data, FEE);
        if (ok) sent(there_, bridge);
    }

    /// @dev If nobody is unhealthy, an account borrows all it can, and interest does the rest.
    function endTerm(uint256 which) external {
        bytes32 ref = find(which, isUnhealthy);
        if (ref == NONE) {
            borrow(which, 1);
            skip(6 hours);
            ref = find(which, isUnhealthy);
        }
        if (ref == NONE) return;
        Market storage there_ = away(ref);
        attempt("endTerm", there_, address(there_.remote), bob, abi.encodeCall(there_.remote.endTerm, (ref)), 0);
    }

    function callCredit(uint256 which, uint256 bridge) external {
        bytes32 ref = find(which, isUncovered);
        if (ref == NONE) return;
        Market storage here = at(chainOf(ref));
        bytes memory data = abi.encodeCall(here.remote.call, (ref, bridgeOf(bridge)));
        (bool ok,) = attempt("call", here, address(here.remote), bob, data, FEE);
        if (ok) sent(here, bridge);
    }

    function writeOff(uint256 who) public {
        for (uint256 i = 0; i < actors.length; ++i) {
            (address actor, Market storage there_) = debtor(who % 4 + i);
            if (there_.vault.creditLineOf(actor) != 0) continue;
            bytes memory data = abi.encodeCall(there_.vault.writeOffBadDebt, (actor));
            attempt("writeOff", there_, address(there_.vault), desk, data, 0);
        }
    }

    /// @dev If nobody is liquidatable, an account of local collateral borrows all it can and its price falls.
    function liquidate(uint256 who, uint256 percent) external {
        if (liquidateAny(who, percent)) return;
        (, Market storage there_) = debtor(who % 2);
        depositAbroad(who, 1 ether);
        there_.wethFeed.updateAnswer(2_000e8);
        borrow(who % 2, 1);
        there_.wethFeed.updateAnswer(1_400e8);
        liquidateAny(who, percent);
    }

    function liquidateAny(uint256 who, uint256 percent) private returns (bool ok) {
        for (uint256 i = 0; i < actors.length && !ok; ++i) {
            (address actor, Market storage there_) = debtor(who % 4 + i);
            AccountValue memory value = there_.vault.valueOf(actor);
            if (value.threshold >= value.debtUsd * 10_000 || value.collateralUsd < 1e8) continue;
            address usdc = address(there_.usdc);
            uint256 amount = there_.vault.debtOf(actor, usdc) * _bound(percent, 1, 100) / 100;
            there_.usdc.mint(lender, amount);
            bytes memory data =
                abi.encodeCall(there_.vault.liquidate, (actor, usdc, address(there_.weth), amount));
            (ok,) = attempt("liquidate", there_, address(there_.vault), lender, data, 0);
        }
    }

    /// @dev Wide, or so narrow that most grants must wait.
    function setLane(uint256 side, uint256 width) external {
        (Market storage there_, uint64 src) = side % 2 == 0 ? (home, abroad.id) : (abroad, home.id);
        uint128 cap = width % 2 == 0 ? uint128(there_.remote.laneOf(src).granted + 5_000e8) : 1_000_000e8;
        bytes memory data =
            abi.encodeCall(there_.remote.setLane, (src, limits(cap, uint128(10_000e8 + width % 90_000e8), 1e8)));
        attempt("setLane", there_, address(there_.remote), desk, data, 0);
    }

    // -- The world ----------------------------------------------------------------------------------------------------

    /// @dev Up to a fifth at once, within a factor of two of the start.
    function movePrice(uint256 side, uint256 percent) external {
        Market storage here = side % 2 == 0 ? home : abroad;
        int256 next = here.wethFeed.latestAnswer() * int256(_bound(percent, 80, 125)) / 100;
        if (next > 1_000e8 && next < 4_000e8) here.wethFeed.updateAnswer(next);
    }

    function pass(uint256 time) external {
        skip(_bound(time, 1, 2 days));
    }

    /// @notice All that waits arrives, the lanes are wide, an account without local collateral borrows, every
    /// term and grace passes, all is called in and seized, and what nobody repaid is written off.
    function windUp() external {
        for (uint256 k = 0; k < 2; ++k) {
            (Market storage there_, uint64 src) = k == 0 ? (on(home), abroad.id) : (on(abroad), home.id);
            vm.prank(desk);
            there_.remote.setLane(src, limits(type(uint128).max, type(uint128).max, type(uint128).max));
        }
        skip(1);
        lockOne(2, 1 ether, 90, 1 days);
        deliverAll();
        borrow(2, 1);
        skip(10 days + GRACE);
        for (uint256 i = 0; i < refs.length; ++i) {
            Market storage there_ = away(refs[i]);
            bytes memory data = abi.encodeCall(there_.remote.callIn, (refs[i], AXELAR));
            sending("callIn", there_, there_.remote.grantOf(refs[i]), data, 0);
            data = abi.encodeCall(there_.remote.seize, (refs[i], AXELAR));
            (bool ok,) = attempt("seize", there_, address(there_.remote), desk, data, FEE);
            if (ok) sent(there_, 0);
        }
        deliverAll();
        writeOff(0);
    }

    /// @dev Release or call-in: what the account needs for its debt stays.
    function sending(bytes32 action, Market storage there_, Grant memory grant, bytes memory data, uint256 bridge)
        private
    {
        (bool ok,) = attempt(action, there_, address(there_.remote), grant.account, data, FEE);
        if (!ok) return;
        sent(there_, bridge);
        AccountValue memory value = there_.vault.valueOf(grant.account);
        bool powerful = value.borrowingPower >= value.debtUsd * 10_000;
        require(powerful || grant.status == GrantStatus.LATE, "borrowing power was released");
    }

    // -- Choices ------------------------------------------------------------------------------------------------------

    /// @dev The first live ref from `which` on that fits; on the way the finished leave the list.
    function find(uint256 which, function(bytes32) view returns (bool) fits) private returns (bytes32) {
        uint256 count = live.length;
        for (uint256 i = 0; i < count && live.length != 0; ++i) {
            uint256 k = (which % count + i) % live.length;
            bytes32 ref = live[k];
            if (at(chainOf(ref)).remote.lockOf(ref).credit == 0) {
                live[k] = live[live.length - 1];
                live.pop();
            } else if (fits(ref)) {
                return ref;
            }
        }
        return NONE;
    }

    function isGranted(bytes32 ref) private view returns (bool) {
        return away(ref).remote.grantOf(ref).amount != 0;
    }

    function isOver(bytes32 ref) private view returns (bool) {
        Grant memory grant = away(ref).remote.grantOf(ref);
        return grant.amount != 0 && grant.termEnd <= block.timestamp;
    }

    function isOverdue(bytes32 ref) private view returns (bool) {
        Grant memory grant = away(ref).remote.grantOf(ref);
        return grant.amount != 0 && grant.termEnd + GRACE <= block.timestamp && grant.status == GrantStatus.LIVE;
    }

    function isUnhealthy(bytes32 ref) private view returns (bool) {
        Market storage there_ = away(ref);
        Grant memory grant = there_.remote.grantOf(ref);
        if (grant.amount == 0 || grant.termEnd <= block.timestamp) return false;
        AccountValue memory value = there_.vault.valueOf(grant.account);
        return value.threshold < value.debtUsd * 10_000;
    }

    function isUncovered(bytes32 ref) private view returns (bool) {
        Grant memory grant = away(ref).remote.grantOf(ref);
        if (grant.status != GrantStatus.UNKNOWN && grant.termEnd <= block.timestamp) return false;
        Market storage here = at(chainOf(ref));
        Lock memory lock_ = here.remote.lockOf(ref);
        return lock_.collateral * uint256(here.wethFeed.latestAnswer()) / 1e18 * 80 < lock_.credit * 100;
    }

    function debtor(uint256 who) private view returns (address, Market storage) {
        return (actors[who % actors.length], who % 2 == 0 ? abroad : home);
    }

    function bridgeOf(uint256 bridge) private pure returns (bytes32) {
        return bridge % 2 == 0 ? AXELAR : CCIP;
    }

    function chainOf(bytes32 ref) private pure returns (uint64) {
        return uint64(uint256(ref) >> 192);
    }

    function away(bytes32 ref) private view returns (Market storage) {
        return chainOf(ref) == home.id ? abroad : home;
    }
}
