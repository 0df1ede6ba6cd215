// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "forge-std/Test.sol";
import {CrossChainVault} from "../src/CrossChainVault.sol";
import {IVaultEvents} from "../src/vault/IVaultEvents.sol";
import {AccountValue, AssetConfig, BPS, NATIVE, RAY, Reserve} from "../src/vault/VaultTypes.sol";
import {MockV3Aggregator} from "../src/dev/TestFeed.sol";
import {TestToken} from "../src/dev/TestToken.sol";

/// @notice A vault with four assets of different decimals, liquidity in each, and two funded accounts.
/// Prices: native and WETH 2,000, USDC 1, WBTC 50,000. Thresholds: 82.5 %, 80 %, 85 %, 75 %.
abstract contract VaultFixture is Test, IVaultEvents {
    CrossChainVault internal vault;
    TestToken internal weth;
    TestToken internal usdc;
    TestToken internal wbtc;
    MockV3Aggregator internal nativeFeed;
    MockV3Aggregator internal wethFeed;
    MockV3Aggregator internal usdcFeed;
    MockV3Aggregator internal wbtcFeed;

    address internal admin = makeAddr("admin");
    address internal risk = makeAddr("risk");
    address internal credit = makeAddr("credit");
    address internal guardian = makeAddr("guardian");
    address internal locker = makeAddr("locker");
    address internal lender = makeAddr("lender");
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");
    address internal liquidator = makeAddr("liquidator");

    uint32 internal constant HEARTBEAT = 1 days;

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        vault = new CrossChainVault(admin);
        vm.startPrank(admin);
        vault.grantRole(vault.RISK_ROLE(), risk);
        vault.grantRole(vault.CREDIT_ROLE(), credit);
        vault.grantRole(vault.GUARDIAN_ROLE(), guardian);
        vault.grantRole(vault.LOCKER_ROLE(), locker);
        vm.stopPrank();

        weth = new TestToken("Wrapped Ether", "WETH", 18);
        usdc = new TestToken("USD Coin", "USDC", 6);
        wbtc = new TestToken("Wrapped Bitcoin", "WBTC", 8);
        nativeFeed = new MockV3Aggregator(8, 2_000e8, "ETH / USD");
        wethFeed = new MockV3Aggregator(8, 2_000e8, "ETH / USD");
        usdcFeed = new MockV3Aggregator(8, 1e8, "USDC / USD");
        wbtcFeed = new MockV3Aggregator(18, 50_000e18, "BTC / USD");

        configure(NATIVE, assetConfig(address(nativeFeed), 8_000, 8_250, 500));
        configure(address(weth), assetConfig(address(wethFeed), 7_500, 8_000, 750));
        configure(address(usdc), assetConfig(address(usdcFeed), 8_000, 8_500, 400));
        configure(address(wbtc), assetConfig(address(wbtcFeed), 7_000, 7_500, 1_000));

        supply(lender, NATIVE, 1_000 ether);
        supply(lender, address(weth), 1_000 ether);
        supply(lender, address(usdc), 2_000_000e6);
        supply(lender, address(wbtc), 40e8);
    }

    function assetConfig(address feed, uint16 ltv, uint16 threshold, uint16 bonus)
        internal
        pure
        returns (AssetConfig memory)
    {
        return AssetConfig({
            feed: feed,
            heartbeat: HEARTBEAT,
            ltvBps: ltv,
            liquidationThresholdBps: threshold,
            liquidationBonusBps: bonus,
            optimalUtilisationBps: 8_000,
            baseRateBps: 0,
            slopeBelowBps: 400,
            slopeAboveBps: 7_500,
            supplyCap: type(uint128).max,
            borrowCap: type(uint128).max,
            minBorrow: 0
        });
    }

    function configure(address token, AssetConfig memory config) internal {
        vm.prank(risk);
        vault.configureAsset(token, config);
    }

    /// @dev Gives `who` the amount and, for a token, allows the vault to take it.
    function fund(address who, address token, uint256 amount) internal {
        if (token == NATIVE) {
            vm.deal(who, who.balance + amount);
        } else {
            TestToken(token).mint(who, amount);
            vm.prank(who);
            TestToken(token).approve(address(vault), type(uint256).max);
        }
    }

    function supply(address who, address token, uint256 amount) internal returns (uint256) {
        fund(who, token, amount);
        vm.prank(who);
        return vault.supply{value: valueFor(token, amount)}(token, amount);
    }

    function deposit(address who, address token, uint256 amount) internal {
        fund(who, token, amount);
        vm.prank(who);
        vault.depositCollateral{value: valueFor(token, amount)}(token, amount);
    }

    function borrow(address who, address token, uint256 amount) internal {
        vm.prank(who);
        vault.borrow(token, amount, who);
    }

    function repay(address who, address token, uint256 amount) internal returns (uint256) {
        fund(who, token, amount);
        vm.prank(who);
        return vault.repay{value: valueFor(token, amount)}(token, amount, who);
    }

    function liquidate(address account, address debtToken, address collateralToken, uint256 amount)
        internal
        returns (uint256 repaid, uint256 seized)
    {
        fund(liquidator, debtToken, amount);
        vm.prank(liquidator);
        return vault.liquidate{value: valueFor(debtToken, amount)}(account, debtToken, collateralToken, amount);
    }

    function valueFor(address token, uint256 amount) internal pure returns (uint256) {
        return token == NATIVE ? amount : 0;
    }

    function balanceOf(address token, address who) internal view returns (uint256) {
        return token == NATIVE ? who.balance : TestToken(token).balanceOf(who);
    }

    /// @dev Time passes and the feeds report again, at the same prices.
    function pass(uint256 time) internal {
        skip(time);
        nativeFeed.updateAnswer(nativeFeed.latestAnswer());
        wethFeed.updateAnswer(wethFeed.latestAnswer());
        usdcFeed.updateAnswer(usdcFeed.latestAnswer());
        wbtcFeed.updateAnswer(wbtcFeed.latestAnswer());
    }

    /// @dev What the vault owes and holds, asset by asset: it can always pay collateral and cash, and cash with the
    /// outstanding debt covers the lenders.
    function assertSolvent(address token) internal view {
        Reserve memory reserve = vault.reserveOf(token);
        assertGe(balanceOf(token, address(vault)), reserve.collateral + reserve.cash, "holdings");
        uint256 debt = reserve.scaledDebt * reserve.borrowIndex / RAY;
        assertGe((reserve.cash + debt) * RAY, reserve.scaledSupply * reserve.supplyIndex, "lenders covered");
    }

    function assertSolvent() internal view {
        assertSolvent(NATIVE);
        assertSolvent(address(weth));
        assertSolvent(address(usdc));
        assertSolvent(address(wbtc));
    }
}
