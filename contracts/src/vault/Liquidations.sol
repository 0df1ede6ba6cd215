// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {Accounts} from "./Accounts.sol";
import {PriceFeed} from "./PriceFeed.sol";
import {AccountValue, AssetConfig, BPS, Quote, RAY, Reserve} from "./VaultTypes.sol";

// Every equality below chooses between exact and rounded arithmetic, or refuses a zero; the amounts come from the books,
// which nobody can nudge by sending tokens.
// slither-disable-start incorrect-equality

/// @notice How much a liquidation repays, writes off and seizes.
///
/// Let S be the account's threshold sum, D its debt, C its credit line and P the proceeds of selling all its collateral
/// at the bonus.
///
/// * P + C >= D: a repaid amount retires just itself.
/// * P + C < D: the collateral cannot pay the debt. Each repaid amount x retires x (D - C) / P; the difference is bad
///   debt, written off in the same step. So the loss is taken in proportion to the collateral sold, never for nothing,
///   and the lenders of every debt asset bear the same ratio.
///
/// Invariant: a liquidation never lowers the health factor. When debt falls by R (as the books value it, after rounding),
/// at most S R / (D x threshold of the seized asset) is seized; if the bonus asks for more, the bonus shrinks. Because
/// threshold x (1 + bonus) <= 1 for each asset, the collateral with the smallest such product always allows the whole
/// bonus. A liquidator who would pay more than it receives is refused: it should take another collateral first.
abstract contract Liquidations is Accounts {
    using EnumerableSet for EnumerableSet.AddressSet;
    using Math for uint256;
    using PriceFeed for Quote;

    /// @dev Above a health factor of 95 % half of a debt can be liquidated at once, below all of it.
    uint256 private constant FULL_CLOSE_PERCENT = 95;

    /// @dev USD x 1e8, one cent. Collateral below it may be worth less than a base unit of the debt: then nobody can
    /// liquidate it, and without this bound whoever deposits such dust could keep bad debt on the books.
    uint256 private constant DUST_USD = 1e6;

    struct Leg {
        AccountValue value;
        uint256 credit;
        Quote debtQuote;
        Quote collateralQuote;
        uint256 collateral;
        uint256 collateralUsd;
        uint256 bonus; // BPS + bonus
        uint256 threshold;
        uint256 scaled;
        uint256 borrowIndex;
        uint256 debt;
        uint256 closable;
    }

    struct Plan {
        uint256 repaid;
        uint256 scaledRepaid;
        uint256 writtenOff;
        uint256 scaledWrittenOff;
        uint256 seized;
    }

    /// @dev The debt reserve is accrued.
    function _plan(address account, address debtToken, address collateralToken, uint256 limit)
        internal
        view
        returns (Plan memory)
    {
        Leg memory leg = _leg(account, debtToken, collateralToken);
        return _size(leg, limit, account, collateralToken);
    }

    function _leg(address account, address debtToken, address collateralToken)
        private
        view
        returns (Leg memory leg)
    {
        leg.value = _valueOf(account);
        if (!_liquidatable(leg.value)) revert NotLiquidatable(account, _healthFactor(leg.value));
        leg.scaled = _scaledDebt[account][debtToken];
        if (leg.scaled == 0) revert NoDebt(account, debtToken);
        leg.collateral = _collateral[account][collateralToken];
        leg.credit = _creditLines[account];
        leg.debtQuote = _quote(debtToken);
        leg.collateralQuote = _quote(collateralToken);
        leg.collateralUsd = leg.collateralQuote.valueDown(leg.collateral);
        AssetConfig storage config = _configs[collateralToken];
        leg.bonus = BPS + config.liquidationBonusBps;
        leg.threshold = config.liquidationThresholdBps;
        leg.borrowIndex = _reserves[debtToken].borrowIndex;
        leg.debt = _debt(leg.scaled, leg.borrowIndex);
        bool whole = leg.value.threshold * 100 <= leg.value.debtUsd * BPS * FULL_CLOSE_PERCENT
            || leg.debt <= 2 * uint256(_configs[debtToken].minBorrow);
        leg.closable = whole ? leg.debt : leg.debt.ceilDiv(2);
    }

    function _size(Leg memory leg, uint256 limit, address account, address collateralToken)
        private
        pure
        returns (Plan memory plan)
    {
        // Liquidatable, so debt exceeds the credit line: net > 0.
        uint256 net = leg.value.debtUsd - leg.credit;
        uint256 proceeds = Math.min(leg.value.proceedsUsd, net);
        if (leg.collateralUsd == 0 || proceeds == 0) revert NothingToLiquidate(account);

        uint256 most = leg.closable.mulDiv(proceeds, net, Math.Rounding.Ceil);
        uint256 wholeCollateral =
            leg.debtQuote.amountUp(leg.collateralUsd.mulDiv(BPS, leg.bonus, Math.Rounding.Ceil));
        plan.repaid = Math.min(limit, Math.min(most, wholeCollateral));
        if (plan.repaid == 0) revert NothingToLiquidate(account);

        uint256 retired = plan.repaid == most ? leg.closable : plan.repaid.mulDiv(net, proceeds);
        uint256 scaledRetired =
            retired == leg.debt ? leg.scaled : Math.min(leg.scaled, retired.mulDiv(RAY, leg.borrowIndex));
        plan.scaledRepaid = proceeds == net
            ? scaledRetired
            : Math.min(scaledRetired, plan.repaid.mulDiv(RAY, leg.borrowIndex));
        plan.scaledWrittenOff = scaledRetired - plan.scaledRepaid;
        uint256 left = _debt(leg.scaled - scaledRetired, leg.borrowIndex);
        plan.writtenOff = plan.scaledWrittenOff == 0 ? 0 : (leg.debt - left).saturatingSub(plan.repaid);
        uint256 fallUsd = leg.debtQuote.valueUp(leg.debt) - leg.debtQuote.valueUp(left);
        plan.seized = _seizure(leg, plan.repaid, fallUsd, plan.repaid == wholeCollateral, collateralToken);
        if (plan.seized == 0) revert NothingToLiquidate(account);
    }

    function _seizure(Leg memory leg, uint256 repaid, uint256 fallUsd, bool whole, address collateralToken)
        private
        pure
        returns (uint256)
    {
        uint256 paidUsd = leg.debtQuote.valueDown(repaid);
        uint256 usd = whole ? leg.collateralUsd : Math.min(leg.collateralUsd, paidUsd.mulDiv(leg.bonus, BPS));
        if (leg.threshold != 0) {
            usd = Math.min(usd, leg.value.threshold.mulDiv(fallUsd, leg.value.debtUsd * leg.threshold));
        }
        if (usd < paidUsd) revert LiquidationAtLoss(collateralToken);
        return usd == leg.collateralUsd
            ? leg.collateral
            : Math.min(leg.collateral, leg.collateralQuote.amountDown(usd));
    }

    /// @notice Books what the liquidator pays and receives; a write-off comes after it.
    function _settle(address account, address debtToken, address collateralToken, Plan memory plan) internal {
        uint256 scaledDebtBalance = _reduceDebt(account, debtToken, plan.scaledRepaid);
        _reserves[collateralToken].collateral -= plan.seized;
        uint256 collateralBalance = _collateral[account][collateralToken] -= plan.seized;
        emit Liquidated(
            account,
            debtToken,
            collateralToken,
            msg.sender,
            plan.repaid,
            plan.scaledRepaid,
            plan.seized,
            scaledDebtBalance,
            collateralBalance,
            _nextSeq()
        );
    }

    /// @notice Writes off all debt of an account that nothing backs: no credit line, and collateral of less than a cent
    /// that cannot pay the debt either.
    /// @return Whether that was the case.
    function _writeOffUnbacked(address account) internal returns (bool) {
        if (_creditLines[account] != 0) return false;
        AccountValue memory value = _valueOf(account);
        if (value.proceedsUsd >= Math.min(DUST_USD, value.debtUsd)) return false;
        address[] memory tokens = _assets[account].values();
        for (uint256 i = 0; i < tokens.length; ++i) {
            uint256 scaled = _scaledDebt[account][tokens[i]];
            if (scaled == 0) continue;
            Reserve storage reserve = _reserves[tokens[i]];
            _accrue(reserve);
            _writeOff(account, tokens[i], _debt(scaled, reserve.borrowIndex), scaled);
            _publish(tokens[i], reserve, true);
            _untrackIfEmpty(account, tokens[i]);
        }
        return true;
    }
}
// slither-disable-end incorrect-equality
