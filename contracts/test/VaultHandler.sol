// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CommonBase} from "forge-std/Base.sol";
import {StdCheats} from "forge-std/StdCheats.sol";
import {StdUtils} from "forge-std/StdUtils.sol";
import {CrossChainVault} from "../src/CrossChainVault.sol";
import {AccountValue, NATIVE, RAY, Reserve} from "../src/vault/VaultTypes.sol";
import {MockV3Aggregator} from "../src/dev/TestFeed.sol";
import {TestToken} from "../src/dev/TestToken.sol";

/// @dev What the vault is asked to do; BadDebt: a liquidation that wrote debt off.
enum Action {
    Supply,
    Redeem,
    Deposit,
    Withdraw,
    Transfer,
    Borrow,
    Repay,
    Liquidate,
    BadDebt,
    WriteOff,
    SetCreditLine,
    Accrue
}

/// @notice A market of a few accounts in which everything moves: prices, time, credit lines, the desk. A refused action
/// must be refused by name; an arithmetic panic fails the run.
contract VaultHandler is CommonBase, StdCheats, StdUtils {
    CrossChainVault private immutable VAULT;
    address private immutable CREDIT;
    address private immutable RISK;
    address private immutable LOCKER;
    address[] public tokens;
    MockV3Aggregator[] private feeds;
    int256[] private start;
    /// @dev The last one's collateral is on another chain: it borrows here on credit lines alone.
    address[] public actors;

    uint256 public attempts;
    mapping(Action action => uint256) public done;

    constructor(
        CrossChainVault vault,
        address credit,
        address risk,
        address locker,
        address[] memory tokens_,
        MockV3Aggregator[] memory feeds_
    ) {
        VAULT = vault;
        CREDIT = credit;
        RISK = risk;
        LOCKER = locker;
        tokens = tokens_;
        feeds = feeds_;
        for (uint256 i = 0; i < feeds_.length; ++i) start.push(feeds_[i].latestAnswer());
        actors.push(makeAddr("lender"));
        for (uint256 i = 0; i < 6; ++i) {
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
        send(Action.Supply, actor, token, amount, abi.encodeCall(VAULT.supply, (token, amount)));
    }

    function redeem(uint256 who, uint256 what, uint256 share) external {
        (address actor, address token) = pick(who, what);
        uint256 scaled = _bound(share, 0, VAULT.scaledSupplyOf(actor, token));
        attempt(Action.Redeem, actor, 0, abi.encodeCall(VAULT.redeem, (token, scaled, actor)));
    }

    function deposit(uint256 who, uint256 what, uint256 size) external {
        (address actor, address token) = (local(who), tokens[what % tokens.length]);
        uint256 amount = amountOf(what, size, 50_000);
        send(Action.Deposit, actor, token, amount, abi.encodeCall(VAULT.depositCollateral, (token, amount)));
    }

    function withdraw(uint256 who, uint256 what, uint256 share) external {
        (address actor, address token) = pick(who, what);
        uint256 amount = _bound(share, 0, VAULT.collateralOf(actor, token));
        attempt(Action.Withdraw, actor, 0, abi.encodeCall(VAULT.withdrawCollateral, (token, amount, actor)));
    }

    function transfer(uint256 who, uint256 whom, uint256 what, uint256 share) external {
        (address actor, address token) = pick(who, what);
        uint256 amount = _bound(share, 0, VAULT.collateralOf(actor, token));
        bytes memory data = abi.encodeCall(VAULT.transferCollateral, (actor, token, amount, local(whom)));
        attempt(Action.Transfer, LOCKER, 0, data);
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
        attempt(Action.Borrow, actor, 0, abi.encodeCall(VAULT.borrow, (token, amount, actor)));
    }

    function repay(uint256 who, uint256 whose, uint256 what, uint256 share) external {
        (address actor, address token) = pick(who, what);
        address debtor = actors[whose % actors.length];
        uint256 amount = _bound(share, 0, VAULT.debtOf(debtor, token) + 1);
        send(Action.Repay, actor, token, amount, abi.encodeCall(VAULT.repay, (token, amount, debtor)));
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
        uint256 owed = VAULT.scaledDebtOf(account, debtToken);
        uint256 cash = VAULT.reserveOf(debtToken).cash;
        if (!send(Action.Liquidate, liquidator, debtToken, amount, data)) return false;
        if (writtenOff(account, debtToken, owed, cash)) ++done[Action.BadDebt];
        AccountValue memory later = VAULT.valueOf(account);
        require(later.debtUsd < before.debtUsd || later.debtUsd == 0, "liquidation without effect");
        // health factor = threshold / debt, compared exactly
        require(later.threshold * before.debtUsd >= before.threshold * later.debtUsd, "health factor fell");
        return true;
    }

    /// @dev Whether the debt fell by more than what was paid, rounding aside.
    function writtenOff(address account, address debtToken, uint256 owed, uint256 cash) private view returns (bool) {
        Reserve memory reserve = VAULT.reserveOf(debtToken);
        uint256 fell = (owed - VAULT.scaledDebtOf(account, debtToken)) * reserve.borrowIndex / RAY;
        return fell > reserve.cash - cash + 1;
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
        attempt(Action.SetCreditLine, CREDIT, 0, abi.encodeCall(VAULT.setCreditLine, (actor, limit)));
    }

    /// @dev A credit line is drawn and then withdrawn: debt that nothing here backs.
    function forsake(uint256 what, uint256 usd) external {
        address actor = actors[actors.length - 1];
        usd = _bound(usd, 1e8, 1_000e8);
        uint256 drawn = usd / 2 * 10 ** decimals(what) / uint256(price(what));
        attempt(Action.SetCreditLine, CREDIT, 0, abi.encodeCall(VAULT.setCreditLine, (actor, usd)));
        attempt(Action.Borrow, actor, 0, abi.encodeCall(VAULT.borrow, (tokens[what % tokens.length], drawn, actor)));
        attempt(Action.SetCreditLine, CREDIT, 0, abi.encodeCall(VAULT.setCreditLine, (actor, 0)));
    }

    /// @dev Of whoever has nothing left, the accounts in turn until one works.
    function writeOff(uint256 who) external {
        for (uint256 i = 0; i < actors.length; ++i) {
            address account = actors[(who % actors.length + i) % actors.length];
            bytes memory data = abi.encodeCall(VAULT.writeOffBadDebt, (account));
            if (attempt(Action.WriteOff, RISK, 0, data)) return;
        }
    }

    function accrue(uint256 what) external {
        attempt(Action.Accrue, address(this), 0, abi.encodeCall(VAULT.accrue, (tokens[what % tokens.length])));
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

    function local(uint256 who) private view returns (address) {
        return actors[who % (actors.length - 1)];
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

    function send(Action action, address actor, address token, uint256 amount, bytes memory data)
        private
        returns (bool)
    {
        if (token == NATIVE) {
            vm.deal(actor, actor.balance + amount);
            return attempt(action, actor, amount, data);
        }
        TestToken(token).mint(actor, amount);
        return attempt(action, actor, 0, data);
    }

    function attempt(Action action, address actor, uint256 value, bytes memory data) private returns (bool ok) {
        ++attempts;
        bytes memory answer;
        vm.prank(actor);
        (ok, answer) = address(VAULT).call{value: value}(data);
        if (ok) ++done[action];
        else require(answer.length >= 4 && bytes4(answer) != bytes4(0x4e487b71), "refused without a name");
    }
}
