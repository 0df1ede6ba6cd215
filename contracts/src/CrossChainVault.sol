// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessControlDefaultAdminRules} from
    "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {Custody} from "./vault/Custody.sol";
import {Liquidations} from "./vault/Liquidations.sol";
import {AccountValue, AssetConfig, Quote, RAY, Reserve} from "./vault/VaultTypes.sol";

/// @title CrossChainVault
/// @notice A lending vault of one chain. Accounts deposit collateral and borrow what lenders supply; collateral is never
/// lent. The desk may grant an account a credit line against collateral that it holds on another chain.
///
/// Needs live prices of everything the account holds: borrow, withdrawal with debt, liquidation, `healthFactor`.
/// Needs none: deposit, supply, redeem, repay, withdrawal without debt. So a dead feed never traps a repayment.
contract CrossChainVault is Liquidations, AccessControlDefaultAdminRules, ReentrancyGuardTransient {
    using EnumerableSet for EnumerableSet.AddressSet;
    using Math for uint256;

    /// @notice Lists assets, sets their parameters, lifts pauses, writes off debt that nothing backs.
    bytes32 public constant RISK_ROLE = keccak256("RISK_ROLE");
    /// @notice Grants credit lines.
    bytes32 public constant CREDIT_ROLE = keccak256("CREDIT_ROLE");
    /// @notice Moves collateral between accounts: the contract that locks it behind credit on other chains.
    bytes32 public constant LOCKER_ROLE = keccak256("LOCKER_ROLE");
    /// @notice Can pause and nothing else.
    bytes32 public constant GUARDIAN_ROLE = keccak256("GUARDIAN_ROLE");

    uint8 public constant PAUSE_BORROW = 1;
    /// @notice Collateral withdrawals and redemptions of liquidity.
    uint8 public constant PAUSE_WITHDRAW = 2;

    uint48 private constant ADMIN_TRANSFER_DELAY = 1 days;

    /// @notice The flags in force. Deposit, supply, repay and liquidate always go on.
    uint8 public pauseFlags;

    constructor(address admin) AccessControlDefaultAdminRules(ADMIN_TRANSFER_DELAY, admin) {}

    // -- Lenders ------------------------------------------------------------------------------------------------------

    /// @notice Lends `amount` for shares of the asset's liquidity. Native currency comes as `msg.value`.
    function supply(address token, uint256 amount) external payable nonReentrant returns (uint256 scaled) {
        Reserve storage reserve = _listed(token);
        bool changed = _accrue(reserve);
        if (reserve.supplyIndex == 0) revert MarketWipedOut(token);
        scaled = amount.mulDiv(RAY, reserve.supplyIndex);
        if (scaled == 0) revert ZeroAmount();
        Custody.pullExact(token, amount);
        reserve.cash += amount;
        reserve.scaledSupply += scaled;
        uint256 scaledBalance = _scaledSupply[msg.sender][token] += scaled;
        _requireUnderSupplyCap(token, reserve);
        emit LiquiditySupplied(msg.sender, token, amount, scaled, scaledBalance, _nextSeq());
        _publish(token, reserve, changed);
    }

    /// @notice Returns `scaledAmount` shares (at most the caller's: the greatest number means all) for their amount.
    function redeem(address token, uint256 scaledAmount, address to) external nonReentrant returns (uint256 amount) {
        _requireNotPaused(PAUSE_WITHDRAW);
        Reserve storage reserve = _listed(token);
        bool changed = _accrue(reserve);
        uint256 held = _scaledSupply[msg.sender][token];
        uint256 scaled = scaledAmount == type(uint256).max ? held : scaledAmount;
        if (scaled > held) revert InsufficientBalance(token, held);
        amount = scaled.mulDiv(reserve.supplyIndex, RAY);
        if (amount == 0) revert ZeroAmount();
        if (amount > reserve.cash) revert InsufficientLiquidity(token, reserve.cash);
        reserve.cash -= amount;
        reserve.scaledSupply -= scaled;
        _scaledSupply[msg.sender][token] = held - scaled;
        emit LiquidityRedeemed(msg.sender, token, amount, scaled, held - scaled, _nextSeq());
        _publish(token, reserve, changed);
        Custody.push(token, to, amount);
    }

    // -- Borrowers ----------------------------------------------------------------------------------------------------

    function depositCollateral(address token, uint256 amount) external payable nonReentrant {
        Reserve storage reserve = _listed(token);
        if (_configs[token].liquidationThresholdBps == 0) revert AssetNotCollateral(token);
        if (amount == 0) revert ZeroAmount();
        Custody.pullExact(token, amount);
        bool changed = _accrue(reserve);
        reserve.collateral += amount;
        uint256 balance = _collateral[msg.sender][token] += amount;
        _track(msg.sender, token);
        _requireUnderSupplyCap(token, reserve);
        emit CollateralDeposited(msg.sender, token, amount, balance, _nextSeq());
        _publish(token, reserve, changed);
    }

    function withdrawCollateral(address token, uint256 amount, address to) external nonReentrant {
        _requireNotPaused(PAUSE_WITHDRAW);
        Reserve storage reserve = _listed(token);
        if (amount == 0) revert ZeroAmount();
        uint256 balance = _takeCollateral(msg.sender, token, amount);
        reserve.collateral -= amount;
        emit CollateralWithdrawn(msg.sender, token, to, amount, balance, _nextSeq());
        Custody.push(token, to, amount);
    }

    function borrow(address token, uint256 amount, address to) external nonReentrant {
        _requireNotPaused(PAUSE_BORROW);
        Reserve storage reserve = _listed(token);
        AssetConfig storage config = _configs[token];
        if (amount == 0) revert ZeroAmount();
        bool changed = _accrue(reserve);
        if (amount > reserve.cash) revert InsufficientLiquidity(token, reserve.cash);
        uint256 scaled = amount.mulDiv(RAY, reserve.borrowIndex, Math.Rounding.Ceil);
        reserve.cash -= amount;
        reserve.scaledDebt += scaled;
        uint256 scaledBalance = _scaledDebt[msg.sender][token] += scaled;
        _track(msg.sender, token);
        if (_totalDebt(reserve) > config.borrowCap) revert BorrowCapExceeded(token, config.borrowCap);
        if (_debt(scaledBalance, reserve.borrowIndex) < config.minBorrow) {
            revert BorrowTooSmall(token, config.minBorrow);
        }
        _requireBorrowingPower(msg.sender);
        emit Borrowed(msg.sender, token, to, amount, scaled, scaledBalance, _nextSeq());
        _publish(token, reserve, changed);
        Custody.push(token, to, amount);
    }

    /// @notice Repays debt of `onBehalfOf`, at most `amount` (for ERC-20 the greatest number means all). Native currency
    /// comes as `msg.value` = `amount`; what the debt does not need returns to the caller.
    function repay(address token, uint256 amount, address onBehalfOf)
        external
        payable
        nonReentrant
        returns (uint256 paid)
    {
        Reserve storage reserve = _listed(token);
        bool changed = _accrue(reserve);
        uint256 scaled = _scaledDebt[onBehalfOf][token];
        if (scaled == 0) revert NoDebt(onBehalfOf, token);
        uint256 debt = _debt(scaled, reserve.borrowIndex);
        paid = Math.min(amount, debt);
        if (paid < debt) scaled = paid.mulDiv(RAY, reserve.borrowIndex);
        // Refuses what is too little to retire a share.
        // slither-disable-next-line incorrect-equality
        if (scaled == 0) revert ZeroAmount();
        Custody.pull(token, paid);
        reserve.cash += paid;
        uint256 scaledBalance = _reduceDebt(onBehalfOf, token, scaled);
        _untrackIfEmpty(onBehalfOf, token);
        emit Repaid(onBehalfOf, token, msg.sender, paid, scaled, scaledBalance, _nextSeq());
        _publish(token, reserve, changed);
        Custody.refund(token, paid);
    }

    // -- Liquidators --------------------------------------------------------------------------------------------------

    /// @notice Repays at most `repayAmount` of an unhealthy account's debt and receives its collateral, native currency
    /// included. See `Liquidations` for how much. Debt that nothing backs any more is written off at once.
    function liquidate(address account, address debtToken, address collateralToken, uint256 repayAmount)
        external
        payable
        nonReentrant
        returns (uint256 repaid, uint256 seized)
    {
        Reserve storage reserve = _listed(debtToken);
        _listed(collateralToken);
        _accrue(reserve);
        Plan memory plan = _plan(account, debtToken, collateralToken, repayAmount);
        Custody.pull(debtToken, plan.repaid);
        reserve.cash += plan.repaid;
        _settle(account, debtToken, collateralToken, plan);
        if (plan.scaledWrittenOff != 0) _writeOff(account, debtToken, plan.writtenOff, plan.scaledWrittenOff);
        _untrackIfEmpty(account, debtToken);
        _untrackIfEmpty(account, collateralToken);
        _writeOffUnbacked(account);
        _publish(debtToken, reserve, true);
        Custody.refund(debtToken, plan.repaid);
        Custody.push(collateralToken, msg.sender, plan.seized);
        return (plan.repaid, plan.seized);
    }

    // -- The desk -----------------------------------------------------------------------------------------------------

    function configureAsset(address token, AssetConfig calldata config) external onlyRole(RISK_ROLE) {
        _configure(token, config);
    }

    /// @param limit USD x 1e8.
    function setCreditLine(address account, uint256 limit) external onlyRole(CREDIT_ROLE) {
        emit CreditLineSet(account, _creditLines[account], limit, _nextSeq());
        _creditLines[account] = limit;
    }

    /// @notice Writes off all debt of an account without collateral worth a cent and without a credit line.
    function writeOffBadDebt(address account) external onlyRole(RISK_ROLE) nonReentrant {
        if (!_writeOffUnbacked(account)) revert StillBacked(account);
    }

    /// @notice Moves collateral between accounts inside the vault. `from` keeps the borrowing power that its debt needs.
    /// No pause stops it, since nothing leaves the vault: what the locker does with it can be paused there.
    function transferCollateral(address from, address token, uint256 amount, address to)
        external
        onlyRole(LOCKER_ROLE)
        nonReentrant
    {
        _listed(token);
        if (amount == 0) revert ZeroAmount();
        if (to == address(0)) revert ZeroAddress();
        if (to == from) revert SelfTransfer(from);
        uint256 fromBalance = _takeCollateral(from, token, amount);
        uint256 toBalance = _collateral[to][token] += amount;
        _track(to, token);
        emit CollateralTransferred(from, to, token, amount, fromBalance, toBalance, _nextSeq());
    }

    function pause(uint8 flags) external onlyRole(GUARDIAN_ROLE) {
        _setPause(pauseFlags | flags);
    }

    function unpause(uint8 flags) external onlyRole(RISK_ROLE) {
        _setPause(pauseFlags & ~flags);
    }

    function _setPause(uint8 flags) private {
        emit PauseChanged(pauseFlags, flags, msg.sender, _nextSeq());
        pauseFlags = flags;
    }

    /// @notice Brings an asset's indexes up to now. Open to all: it only does what every other call does.
    function accrue(address token) external {
        Reserve storage reserve = _listed(token);
        _publish(token, reserve, _accrue(reserve));
    }

    // -- Views --------------------------------------------------------------------------------------------------------

    /// @return x 1e18; the greatest number without debt. Reverts if a price the account depends on is not live.
    function healthFactor(address account) external view returns (uint256) {
        return _healthFactor(_valueOf(account));
    }

    /// @notice The asset's price as a fraction: USD x 1e8 = amount x answer / unit. Reverts without a live price.
    function quoteOf(address token) external view returns (uint256 answer, uint256 unit) {
        _listed(token);
        Quote memory quote = _quote(token);
        return (quote.answer, quote.unit);
    }

    function valueOf(address account) external view returns (AccountValue memory) {
        return _valueOf(account);
    }

    /// @return Base units of the token, interest up to now included, rounded up.
    function debtOf(address account, address token) external view returns (uint256) {
        return _debtOf(account, token);
    }

    function collateralOf(address account, address token) external view returns (uint256) {
        return _collateral[account][token];
    }

    /// @return Base units of the token, interest up to now included, rounded down.
    function supplyOf(address provider, address token) external view returns (uint256) {
        (uint256 supplyIndex,) = _indexes(_reserves[token]);
        return _scaledSupply[provider][token].mulDiv(supplyIndex, RAY);
    }

    function scaledDebtOf(address account, address token) external view returns (uint256) {
        return _scaledDebt[account][token];
    }

    function scaledSupplyOf(address provider, address token) external view returns (uint256) {
        return _scaledSupply[provider][token];
    }

    /// @return USD x 1e8.
    function creditLineOf(address account) external view returns (uint256) {
        return _creditLines[account];
    }

    /// @return The assets in which the account has collateral or debt.
    function assetsOf(address account) external view returns (address[] memory) {
        return _assets[account].values();
    }

    function configOf(address token) external view returns (AssetConfig memory) {
        return _configs[token];
    }

    /// @return The book as of its last accrual.
    function reserveOf(address token) external view returns (Reserve memory) {
        return _reserves[token];
    }

    // -- Checks -------------------------------------------------------------------------------------------------------

    function _requireNotPaused(uint8 flag) private view {
        if (pauseFlags & flag != 0) revert ActionPaused(flag);
    }

    /// @dev Of an accrued reserve.
    function _requireUnderSupplyCap(address token, Reserve storage reserve) private view {
        uint256 cap = _configs[token].supplyCap;
        if (reserve.collateral + _totalSupply(reserve) > cap) revert SupplyCapExceeded(token, cap);
    }
}
