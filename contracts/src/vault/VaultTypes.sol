// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

uint256 constant RAY = 1e27;
uint256 constant BPS = 10_000;

/// @dev The native currency as a token: one identity in arguments, storage and events.
address constant NATIVE = 0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE;

/// @dev What RISK_ROLE decides about an asset. Amounts are in base units of the asset, rates in basis points per year.
struct AssetConfig {
    address feed;
    /// @dev Seconds after which an answer of the feed no longer counts.
    uint32 heartbeat;
    /// @dev Borrowing power of collateral. Zero together with the threshold: not accepted as collateral.
    uint16 ltvBps;
    uint16 liquidationThresholdBps;
    /// @dev What a liquidator receives above what it repaid.
    uint16 liquidationBonusBps;
    /// @dev Utilisation at which the interest rate bends.
    uint16 optimalUtilisationBps;
    uint32 baseRateBps;
    uint32 slopeBelowBps;
    uint32 slopeAboveBps;
    /// @dev Collateral plus supplied liquidity that the vault accepts.
    uint128 supplyCap;
    /// @dev Total debt; zero: cannot be borrowed.
    uint128 borrowCap;
    /// @dev Smallest debt that a borrow may leave behind: dust is not worth liquidating.
    uint128 minBorrow;
}

/// @dev One asset's book. `cash` is lendable and apart from `collateral`, which is never lent.
struct Reserve {
    uint8 tokenDecimals;
    uint8 feedDecimals;
    uint40 updatedAt;
    uint256 collateral;
    uint256 cash;
    uint256 scaledSupply;
    uint256 scaledDebt;
    /// @dev Ray. Amount = scaled x index / RAY: supply rounds down, debt rounds up.
    uint256 supplyIndex;
    uint256 borrowIndex;
    /// @dev Ray per second, valid from `updatedAt` on.
    uint256 borrowRatePerSecond;
}

/// @dev An asset's price as a fraction: value in USD x 1e8 = amount x answer / unit.
struct Quote {
    uint256 answer;
    uint256 unit;
}

/// @dev An account's legs in USD x 1e8; the two weighted sums are further x 1e4 (basis points) so that nothing is
/// rounded before a decision.
struct AccountValue {
    uint256 collateralUsd;
    /// @dev What liquidators would pay for all collateral: sum of value / (1 + bonus).
    uint256 proceedsUsd;
    uint256 debtUsd;
    /// @dev Sum of value x LTV, plus the credit line.
    uint256 borrowingPower;
    /// @dev Sum of value x liquidation threshold, plus the credit line.
    uint256 threshold;
}
