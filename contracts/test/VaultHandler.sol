// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CommonBase} from "forge-std/Base.sol";
import {StdCheats} from "forge-std/StdCheats.sol";
import {StdUtils} from "forge-std/StdUtils.sol";
import {CrossChainVault} from "../src/CrossChainVault.sol";
import {AccountValue, NATIVE} from "../src/vault/VaultTypes.sol";
import {MockV3Aggregator} from "../src/dev/TestFeed.sol";
import {TestToken} from "../src/dev/TestToken.sol";

/// @notice A market of a few accounts in which everything moves: prices, time, credit lines, the desk. A refused action
/// must be refused by name; an arithmetic panic fails the run.
contract VaultHandler is CommonBase, StdCheats, StdUtils {
    CrossChainVault private immutable VAULT;
    address private immutable CREDIT;
    address private immutable RISK;
    address[] public tokens;
    MockV3Aggregator[] private feeds;
    int256[] private start;
    address[] public actors;

    uint256 public liquidations;
    uint256 public writeOffs;
    uint256 public attempts;
    uint256 public done;

    constructor(
        CrossChainVault vault,
        address credit,
        address risk,
        address[] memory tokens_,
        MockV3Aggregator[] memory feeds_
    ) {
        VAULT = vault;
        CREDIT = credit;
        RISK = risk;
        tokens = tokens_;
        feeds = feeds_;
        for (uint256 i = 0; i < feeds_.length; ++i) start.push(feeds_[i].latestAnswer());
        actors.push(makeAddr("lender"));
        for (uint256 i = 0; i < 5; ++i) {
            address actor = address(uint160(0xA11CE000 + i));
            actors.push(actor);
            for (uint256 k = 0; k < tokens_.length; ++k) {
                if (tokens_[k] == NATIVE) continue;
                vm.prank(actor);
                TestToken(tokens_[k]).approve(address(vault), type(uint256).max);
            }
        }
    }

    function actorCount() external view returns (uint256) {
        return actors.length;
    }

    // -- Actions ------------------------------------------------------------------------------------------------------

    function supply(uint256 who, uint256 what, uint256 size) external {
        (address actor, address token) = pick(who, what);
        uint256 amount = amountOf(what, size, 50_000);
        send(actor, token, amount, abi.encodeCall(VAULT.supply, (token, amount)));
    }

    function redeem(uint256 who, uint256 what, uint256 share) external {
        (address actor, address token) = pick(who, what);
        uint256 scaled = _bound(share, 0, VAULT.scaledSupplyOf(actor, token));
        attempt(actor, 0, abi.encodeCall(VAULT.redeem, (token, scaled, actor)));
    }

    function deposit(uint256 who, uint256 what, uint256 size) external {
        (address actor, address token) = pick(who, what);
        uint256 amount = amountOf(what, size, 50_000);
        send(actor, token, amount, abi.encodeCall(VAULT.depositCollateral, (token, amount)));
    }

    function withdraw(uint256 who, uint256 what, uint256 share) external {
        (address actor, address token) = pick(who, what);
        uint256 amount = _bound(share, 0, VAULT.collateralOf(actor, token));
        attempt(actor, 0, abi.encodeCall(VAULT.withdrawCollateral, (token, amount, actor)));
    }

    /// @dev Up to what borrowing power allows, mostly near it, so that prices make accounts unhealthy.
    function borrow(uint256 who, uint256 what, uint256 percent) external {
        (address actor, address token) = pick(who, what);
        AccountValue memory value = VAULT.valueOf(actor);
        uint256 power = value.borrowingPower / 10_000;
        uint256 free = power > value.debtUsd ? power - value.debtUsd : 0;
        uint256 usd = free * _bound(percent, 1, 100) / 100;
        uint256 amount = usd * 10 ** decimals(what) / uint256(price(what));
        uint256 cash = VAULT.reserveOf(token).cash;
        if (amount > cash) amount = cash;
        attempt(actor, 0, abi.encodeCall(VAULT.borrow, (token, amount, actor)));
    }

    function repay(uint256 who, uint256 whose, uint256 what, uint256 share) external {
        (address actor, address token) = pick(who, what);
        address debtor = actors[whose % actors.length];
        uint256 amount = _bound(share, 0, VAULT.debtOf(debtor, token) + 1);
        send(actor, token, amount, abi.encodeCall(VAULT.repay, (token, amount, debtor)));
    }

    /// @dev Liquidates whoever can be, all pairs of assets in turn until one works.
    function liquidate(uint256 who, uint256 whose, uint256 pair, uint256 share) external {
        address liquidator = actors[who % actors.length];
        for (uint256 i = 0; i < actors.length; ++i) {
            address account = actors[(whose % actors.length + i) % actors.length];
            AccountValue memory value = VAULT.valueOf(account);
            if (value.threshold >= value.debtUsd * 10_000) continue;
            for (uint256 k = 0; k < tokens.length * tokens.length; ++k) {
                if (liquidatePair(liquidator, account, (pair % 1_000) + k, share)) return;
            }
        }
    }

    function liquidatePair(address liquidator, address account, uint256 pair, uint256 share) private returns (bool) {
        address debtToken = tokens[pair % tokens.length];
        address collateralToken = tokens[(pair / tokens.length) % tokens.length];
        if (VAULT.debtOf(account, debtToken) == 0 || VAULT.collateralOf(account, collateralToken) == 0) return false;
        uint256 amount = _bound(share, 1, VAULT.debtOf(account, debtToken));
        AccountValue memory before = VAULT.valueOf(account);
        bytes memory data = abi.encodeCall(VAULT.liquidate, (account, debtToken, collateralToken, amount));
        if (!send(liquidator, debtToken, amount, data)) return false;
        ++liquidations;
        AccountValue memory later = VAULT.valueOf(account);
        require(later.debtUsd < before.debtUsd || later.debtUsd == 0, "liquidation without effect");
        // health factor = threshold / debt, compared exactly
        require(later.threshold * before.debtUsd >= before.threshold * later.debtUsd, "health factor fell");
        return true;
    }

    /// @dev Up to a fifth at once, within a factor of fifty of the start.
    function movePrice(uint256 what, uint256 percent) external {
        uint256 k = what % feeds.length;
        int256 next = feeds[k].latestAnswer() * int256(_bound(percent, 80, 125)) / 100;
        if (next > start[k] / 50 && next < start[k] * 50) feeds[k].updateAnswer(next);
    }

    function crash(uint256 what, uint256 percent) external {
        uint256 k = what % feeds.length;
        int256 next = feeds[k].latestAnswer() * int256(_bound(percent, 30, 60)) / 100;
        if (next > start[k] / 50) feeds[k].updateAnswer(next);
    }

    function pass(uint256 time) external {
        skip(_bound(time, 1, 30 days));
        for (uint256 k = 0; k < feeds.length; ++k) feeds[k].updateAnswer(feeds[k].latestAnswer());
    }

    function setCreditLine(uint256 who, uint256 limit) external {
        address actor = actors[who % actors.length];
        limit = limit % 3 == 0 ? _bound(limit, 0, 100_000e8) : 0;
        attempt(CREDIT, 0, abi.encodeCall(VAULT.setCreditLine, (actor, limit)));
    }

    function writeOff(uint256 who) external {
        if (attempt(RISK, 0, abi.encodeCall(VAULT.writeOffBadDebt, (actors[who % actors.length])))) ++writeOffs;
    }

    function accrue(uint256 what) external {
        attempt(address(this), 0, abi.encodeCall(VAULT.accrue, (tokens[what % tokens.length])));
    }

    function donate(uint256 what, uint256 size) external {
        address token = tokens[what % tokens.length];
        uint256 amount = amountOf(what, size, 1_000);
        if (token != NATIVE) TestToken(token).mint(address(VAULT), amount);
    }

    // -- Parts --------------------------------------------------------------------------------------------------------

    function pick(uint256 who, uint256 what) private view returns (address, address) {
        return (actors[who % actors.length], tokens[what % tokens.length]);
    }

    function decimals(uint256 what) private view returns (uint256) {
        return VAULT.reserveOf(tokens[what % tokens.length]).tokenDecimals;
    }

    /// @dev USD x 1e8.
    function price(uint256 what) private view returns (int256) {
        MockV3Aggregator feed = feeds[what % feeds.length];
        return feed.latestAnswer() / int256(10 ** (feed.decimals() - 8)) + 1;
    }

    /// @dev From one base unit to `maxUsd` dollars at the starting price, small amounts as likely as large ones.
    function amountOf(uint256 what, uint256 size, uint256 maxUsd) private view returns (uint256) {
        uint256 k = what % feeds.length;
        uint256 feedUnit = 10 ** feeds[k].decimals();
        uint256 most = maxUsd * feedUnit * 10 ** decimals(what) / uint256(start[k]);
        return _bound(size, 1, size % 4 == 0 ? 1_000 : most);
    }

    function send(address actor, address token, uint256 amount, bytes memory data) private returns (bool) {
        if (token == NATIVE) {
            vm.deal(actor, actor.balance + amount);
            return attempt(actor, amount, data);
        }
        TestToken(token).mint(actor, amount);
        return attempt(actor, 0, data);
    }

    function attempt(address actor, uint256 value, bytes memory data) private returns (bool ok) {
        ++attempts;
        bytes memory answer;
        vm.prank(actor);
        (ok, answer) = address(VAULT).call{value: value}(data);
        if (ok) ++done;
        else require(answer.length >= 4 && bytes4(answer) != bytes4(0x4e487b71), "refused without a name");
    }
}
