// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AssetConfig} from "./VaultTypes.sol";

/// @notice What an indexer folds. From these events alone all state of the vault can be rebuilt:
/// * balances from the amounts, and each event tells the balances that result;
/// * an asset's collateral, cash, supply and debt as the sums of the amounts;
/// * debt at time t = ceil(scaled x index(t) / RAY), index(t) = borrowIndex x (RAY + rate x (t - timestamp)) / RAY.
///
/// `seq` counts the events below from 1 without gaps over the vault's life, so that a missing one shows. Roles and the
/// admin follow from OpenZeppelin's events, which carry no number.
interface IVaultEvents {
    event AssetConfigured(
        address indexed token,
        uint8 decimals,
        uint8 feedDecimals,
        uint16 ltvBps,
        uint16 liquidationThresholdBps,
        uint16 liquidationBonusBps,
        address feed,
        uint64 seq
    );
    /// @notice Accompanies AssetConfigured with every parameter before and after.
    event AssetParametersChanged(
        address indexed token, AssetConfig oldConfig, AssetConfig newConfig, uint64 seq
    );
    event CollateralDeposited(
        address indexed account, address indexed token, uint256 amount, uint256 balance, uint64 seq
    );
    event CollateralWithdrawn(
        address indexed account,
        address indexed token,
        address indexed to,
        uint256 amount,
        uint256 balance,
        uint64 seq
    );
    /// @notice From one account to another inside the vault.
    event CollateralTransferred(
        address indexed from,
        address indexed to,
        address indexed token,
        uint256 amount,
        uint256 fromBalance,
        uint256 toBalance,
        uint64 seq
    );
    event LiquiditySupplied(
        address indexed provider,
        address indexed token,
        uint256 amount,
        uint256 scaledAmount,
        uint256 scaledBalance,
        uint64 seq
    );
    event LiquidityRedeemed(
        address indexed provider,
        address indexed token,
        uint256 amount,
        uint256 scaledAmount,
        uint256 scaledBalance,
        uint64 seq
    );
    event Borrowed(
        address indexed account,
        address indexed token,
        address indexed to,
        uint256 amount,
        uint256 scaledAmount,
        uint256 scaledBalance,
        uint64 seq
    );
    event Repaid(
        address indexed account,
        address indexed token,
        address indexed payer,
        uint256 amount,
        uint256 scaledAmount,
        uint256 scaledBalance,
        uint64 seq
    );
    /// @notice The only event of a liquidation's own effects: debt falls by `scaledRepaid`, collateral by `seized`.
    event Liquidated(
        address indexed account,
        address indexed debtToken,
        address indexed collateralToken,
        address liquidator,
        uint256 repaid,
        uint256 scaledRepaid,
        uint256 seized,
        uint256 scaledDebtBalance,
        uint256 collateralBalance,
        uint64 seq
    );
    /// @notice Debt that nobody will pay left the books, and the lenders' supply index bears it.
    event BadDebtWrittenOff(
        address indexed account,
        address indexed token,
        uint256 amount,
        uint256 scaledAmount,
        uint256 scaledBalance,
        uint64 seq
    );
    /// @notice At listing and whenever an index or the rate changes; the rate is valid from `timestamp` on.
    event IndexUpdated(
        address indexed token,
        uint256 supplyIndex,
        uint256 borrowIndex,
        uint256 borrowRatePerSecond,
        uint256 timestamp,
        uint64 seq
    );
    /// @notice USD x 1e8: borrowing power that the desk grants here against collateral held on another chain.
    event CreditLineSet(address indexed account, uint256 oldLimit, uint256 newLimit, uint64 seq);
    event PauseChanged(uint8 oldFlags, uint8 newFlags, address indexed by, uint64 seq);

    error AssetNotListed(address token);
    error AssetNotCollateral(address token);
    error InvalidConfig(address token);
    error UnsupportedDecimals(address token, uint8 tokenDecimals, uint8 feedDecimals);
    error StalePrice(address feed, uint256 updatedAt);
    error InvalidPrice(address feed, int256 answer);

    error ZeroAmount();
    error ZeroAddress();
    error SelfTransfer(address account);
    error WrongValue(uint256 expected, uint256 sent);
    error TransferShortfall(address token, uint256 expected, uint256 received);

    error ActionPaused(uint8 flag);
    error TooManyAssets(address account);
    error SupplyCapExceeded(address token, uint256 cap);
    error BorrowCapExceeded(address token, uint256 cap);
    error BorrowTooSmall(address token, uint256 minimum);
    error InsufficientLiquidity(address token, uint256 available);
    error InsufficientBalance(address token, uint256 available);
    error InsufficientBorrowingPower(address account, uint256 borrowingPower, uint256 debt);
    error MarketWipedOut(address token);

    error NoDebt(address account, address token);
    error NotLiquidatable(address account, uint256 healthFactor);
    error NothingToLiquidate(address account);
    error LiquidationAtLoss(address collateralToken);
    error StillBacked(address account);
}
