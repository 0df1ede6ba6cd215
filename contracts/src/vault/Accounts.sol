// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {PriceFeed} from "./PriceFeed.sol";
import {Reserves} from "./Reserves.sol";
import {AccountValue, AssetConfig, BPS, Quote} from "./VaultTypes.sol";

/// @notice What an account holds and owes, and what it is worth.
///
/// Invariant: the set of an account holds exactly the assets in which it has collateral or debt, at most
/// MAX_ASSETS_PER_ACCOUNT of them, so every valuation is bounded.
abstract contract Accounts is Reserves {
    using EnumerableSet for EnumerableSet.AddressSet;
    using Math for uint256;
    using PriceFeed for Quote;

    uint256 public constant MAX_ASSETS_PER_ACCOUNT = 16;

    mapping(address account => EnumerableSet.AddressSet) internal _assets;
    mapping(address account => mapping(address token => uint256)) internal _collateral;
    /// @dev USD x 1e8.
    mapping(address account => uint256) internal _creditLines;

    function _track(address account, address token) internal {
        if (_assets[account].add(token) && _assets[account].length() > MAX_ASSETS_PER_ACCOUNT) {
            revert TooManyAssets(account);
        }
    }

    function _untrackIfEmpty(address account, address token) internal {
        // Whether the asset was in the set does not matter: now it is not.
        // slither-disable-next-line unused-return
        if (_collateral[account][token] == 0 && _scaledDebt[account][token] == 0) _assets[account].remove(token);
    }

    function _hasDebt(address account) internal view returns (bool) {
        uint256 count = _assets[account].length();
        for (uint256 i = 0; i < count; ++i) {
            if (_scaledDebt[account][_assets[account].at(i)] != 0) return true;
        }
        return false;
    }

    /// @notice Values every leg at live prices, interest included. Each leg is rounded on its own before summing:
    /// collateral down, debt up (as Aave since v3.5). Reverts if the price of any held asset is not live.
    function _valueOf(address account) internal view returns (AccountValue memory value) {
        uint256 count = _assets[account].length();
        for (uint256 i = 0; i < count; ++i) {
            address token = _assets[account].at(i);
            Quote memory quote = _quote(token);
            uint256 usd = quote.valueDown(_collateral[account][token]);
            if (usd != 0) _addCollateral(value, _configs[token], usd);
            value.debtUsd += quote.valueUp(_debtOf(account, token));
        }
        uint256 credit = _creditLines[account] * BPS;
        value.borrowingPower += credit;
        value.threshold += credit;
    }

    function _addCollateral(AccountValue memory value, AssetConfig storage config, uint256 usd) private view {
        value.collateralUsd += usd;
        value.proceedsUsd += usd.mulDiv(BPS, BPS + config.liquidationBonusBps);
        value.borrowingPower += usd * config.ltvBps;
        value.threshold += usd * config.liquidationThresholdBps;
    }

    /// @notice Takes collateral that the account's debt can spare.
    function _takeCollateral(address account, address token, uint256 amount) internal returns (uint256 balance) {
        uint256 held = _collateral[account][token];
        if (amount > held) revert InsufficientBalance(token, held);
        balance = held - amount;
        _collateral[account][token] = balance;
        _untrackIfEmpty(account, token);
        if (_hasDebt(account)) _requireBorrowingPower(account);
    }

    function _debtOf(address account, address token) internal view returns (uint256) {
        uint256 scaled = _scaledDebt[account][token];
        if (scaled == 0) return 0;
        (, uint256 borrowIndex) = _indexes(_reserves[token]);
        return _debt(scaled, borrowIndex);
    }

    /// @dev Strictly below 1, decided without division: a health factor of exactly 1 is safe.
    function _liquidatable(AccountValue memory value) internal pure returns (bool) {
        return value.threshold < value.debtUsd * BPS;
    }

    /// @notice For display, x 1e18: (threshold x 1e18 / debt, half up) / 10,000, rounded down. Decisions never use it.
    function _healthFactor(AccountValue memory value) internal pure returns (uint256) {
        // No debt, no quotient; the figure is the books' own.
        // slither-disable-next-line incorrect-equality
        if (value.debtUsd == 0) return type(uint256).max;
        return (value.threshold * 1e18 + value.debtUsd / 2) / value.debtUsd / BPS;
    }

    function _requireBorrowingPower(address account) internal view {
        AccountValue memory value = _valueOf(account);
        if (value.borrowingPower < value.debtUsd * BPS) {
            revert InsufficientBorrowingPower(account, value.borrowingPower / BPS, value.debtUsd);
        }
    }
}
