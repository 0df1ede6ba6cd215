// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "forge-std/Test.sol";
import {BridgeRouter} from "../../src/bridge/BridgeRouter.sol";
import {CrossChainVault} from "../../src/CrossChainVault.sol";
import {ICreditEvents} from "../../src/credit/ICreditEvents.sol";
import {Grant, LaneLimits, Lock} from "../../src/credit/CreditTypes.sol";
import {RemoteCredit} from "../../src/credit/RemoteCredit.sol";
import {MockV3Aggregator} from "../../src/dev/TestFeed.sol";
import {TestToken} from "../../src/dev/TestToken.sol";
import {AssetConfig} from "../../src/vault/VaultTypes.sol";
import {LoopBridge} from "./LoopBridge.sol";

/// @dev One chain's contracts. WETH is collateral (LTV 75 %, threshold 80 %, 2,000), USDC what is lent (1).
struct Market {
    uint64 id;
    CrossChainVault vault;
    BridgeRouter router;
    RemoteCredit remote;
    TestToken weth;
    TestToken usdc;
    MockV3Aggregator wethFeed;
    MockV3Aggregator usdcFeed;
    LoopBridge axelar;
    LoopBridge ccip;
}

/// @notice Two chains in one EVM, each with its own vault, router, two bridges and remote credit. `on` says which chain
/// executes. Only the transport between the bridges is the test's.
abstract contract CreditFixture is Test, ICreditEvents {
    bytes32 internal constant AXELAR = "axelar";
    bytes32 internal constant CCIP = "ccip";
    uint64 internal constant GRACE = 2 days;
    uint64 internal constant TERM = 30 days;
    uint256 internal constant FEE = 0.01 ether;

    address internal admin = makeAddr("admin");
    address internal desk = makeAddr("desk");
    address internal treasury = makeAddr("treasury");
    address internal lender = makeAddr("lender");
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");

    Market internal home;
    Market internal abroad;

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        build(home, 101);
        build(abroad, 202);
        connect(home, abroad);
        connect(abroad, home);
        deposit(home, alice, 100 ether);
        deposit(home, bob, 100 ether);
        lend(home);
        lend(abroad);
    }

    // -- Chains -------------------------------------------------------------------------------------------------------

    function build(Market storage chain, uint64 id) private {
        vm.chainId(id);
        chain.id = id;
        chain.vault = new CrossChainVault(admin);
        chain.router = new BridgeRouter(admin);
        chain.remote = new RemoteCredit(admin, chain.vault, chain.router, treasury, GRACE);
        chain.weth = new TestToken("Wrapped Ether", "WETH", 18);
        chain.usdc = new TestToken("USD Coin", "USDC", 6);
        chain.wethFeed = new MockV3Aggregator(8, 2_000e8, "ETH / USD");
        chain.usdcFeed = new MockV3Aggregator(8, 1e8, "USDC / USD");
        chain.axelar = new LoopBridge(chain.router);
        chain.ccip = new LoopBridge(chain.router);
        permit(chain);
        vm.startPrank(desk);
        chain.vault.configureAsset(address(chain.weth), assetConfig(chain.wethFeed, 7_500, 8_000, 500));
        chain.vault.configureAsset(address(chain.usdc), assetConfig(chain.usdcFeed, 8_000, 8_500, 400));
        vm.stopPrank();
    }

    function permit(Market storage chain) private {
        vm.startPrank(admin);
        chain.vault.grantRole(chain.vault.RISK_ROLE(), desk);
        chain.vault.grantRole(chain.vault.CREDIT_ROLE(), address(chain.remote));
        chain.vault.grantRole(chain.vault.LOCKER_ROLE(), address(chain.remote));
        chain.router.grantRole(chain.router.REGISTRAR_ROLE(), desk);
        chain.router.grantRole(chain.router.GUARDIAN_ROLE(), desk);
        chain.remote.grantRole(chain.remote.RISK_ROLE(), desk);
        chain.remote.grantRole(chain.remote.SEIZER_ROLE(), desk);
        vm.stopPrank();
    }

    function connect(Market storage chain, Market storage peer) private {
        vm.chainId(chain.id);
        vm.startPrank(desk);
        chain.router.setBridge(AXELAR, address(chain.axelar));
        chain.router.setBridge(CCIP, address(chain.ccip));
        chain.router.setApp(address(chain.remote), peer.id, address(peer.remote));
        chain.remote.setLane(peer.id, limits(500_000e8, 100_000e8, 1e8));
        vm.stopPrank();
    }

    function assetConfig(MockV3Aggregator feed, uint16 ltv, uint16 threshold, uint16 bonus)
        internal
        pure
        returns (AssetConfig memory)
    {
        return AssetConfig({
            feed: address(feed),
            heartbeat: 400 days,
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

    function limits(uint128 cap, uint128 burst, uint128 refillPerSecond) internal pure returns (LaneLimits memory) {
        return LaneLimits(cap, burst, refillPerSecond);
    }

    /// @dev From here on this chain executes.
    function on(Market storage chain) internal returns (Market storage) {
        vm.chainId(chain.id);
        return chain;
    }

    function deposit(Market storage chain, address who, uint256 amount) internal {
        on(chain).weth.mint(who, amount);
        vm.startPrank(who);
        chain.weth.approve(address(chain.vault), type(uint256).max);
        chain.vault.depositCollateral(address(chain.weth), amount);
        vm.stopPrank();
    }

    function lend(Market storage chain) private {
        on(chain).usdc.mint(lender, 10_000_000e6);
        vm.startPrank(lender);
        chain.usdc.approve(address(chain.vault), type(uint256).max);
        chain.vault.supply(address(chain.usdc), 10_000_000e6);
        vm.stopPrank();
    }

    // -- Steps --------------------------------------------------------------------------------------------------------

    /// @dev Alice locks 10 WETH (20,000) at home behind `credit`.
    function lock(uint256 credit) internal returns (bytes32) {
        return lock(alice, 10 ether, credit, uint64(block.timestamp) + TERM);
    }

    function lock(address who, uint256 amount, uint256 credit, uint64 deadline) internal returns (bytes32) {
        on(home);
        pay(who);
        return home.remote.lock{value: FEE}(address(home.weth), amount, credit, abroad.id, AXELAR, deadline);
    }

    /// @dev The next call is `who`'s, who can pay the bridge's fee.
    function pay(address who) internal {
        vm.deal(who, FEE);
        vm.prank(who);
    }

    function granted(uint256 credit) internal returns (bytes32 ref) {
        ref = lock(credit);
        deliver(home, abroad, last(home));
    }

    function last(Market storage chain) internal view returns (bytes memory) {
        return chain.axelar.sent(chain.axelar.sentCount() - 1);
    }

    function deliver(Market storage from, Market storage to, bytes memory payload) internal {
        on(to).axelar.deliver(from.id, payload);
    }

    function release(bytes32 ref, uint256 amount) internal {
        address account = on(abroad).remote.grantOf(ref).account;
        pay(account);
        abroad.remote.release{value: FEE}(ref, amount, AXELAR);
    }

    function callIn(bytes32 ref) internal {
        on(abroad);
        pay(bob);
        abroad.remote.callIn{value: FEE}(ref, AXELAR);
    }

    function seize(bytes32 ref) internal {
        on(abroad);
        pay(desk);
        abroad.remote.seize{value: FEE}(ref, AXELAR);
    }

    function callCredit(bytes32 ref) internal {
        on(home);
        pay(bob);
        home.remote.call{value: FEE}(ref, AXELAR);
    }

    function borrow(uint256 usd) internal {
        on(abroad);
        vm.prank(alice);
        abroad.vault.borrow(address(abroad.usdc), usd * 1e6, alice);
    }

    function repay(address payer, uint256 amount) internal {
        on(abroad).usdc.mint(payer, amount);
        vm.startPrank(payer);
        abroad.usdc.approve(address(abroad.vault), type(uint256).max);
        abroad.vault.repay(address(abroad.usdc), amount, alice);
        vm.stopPrank();
    }

    // -- Views --------------------------------------------------------------------------------------------------------

    function atHome(bytes32 ref) internal view returns (Lock memory) {
        return home.remote.lockOf(ref);
    }

    function there(bytes32 ref) internal view returns (Grant memory) {
        return abroad.remote.grantOf(ref);
    }

    function wethOf(address who) internal view returns (uint256) {
        return home.vault.collateralOf(who, address(home.weth));
    }

    function lineOf(address who) internal view returns (uint256) {
        return abroad.vault.creditLineOf(who);
    }
}
