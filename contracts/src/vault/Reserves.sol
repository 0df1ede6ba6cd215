// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {InterestRate} from "./InterestRate.sol";
import {IVaultEvents} from "./IVaultEvents.sol";
import {PriceFeed} from "./PriceFeed.sol";
import {AssetConfig, BPS, NATIVE, Quote, RAY, Reserve} from "./VaultTypes.sol";

/// @notice The books of each asset: listing, interest, the lenders' shares and the debt shares.
///
/// Invariant, for each asset and at every moment:
///     cash + floor(scaledDebt x borrowIndex / RAY) >= scaledSupply x supplyIndex / RAY
/// Supplying and redeeming round the lender's shares and amounts down, borrowing and repaying round debt up, interest is
/// credited to lenders only as far as the total debt has grown, and a write-off lowers the supply index.
abstract contract Reserves is IVaultEvents {
    using Math for uint256;
    using PriceFeed for Quote;

    /// @dev Shares that nobody owns take part in each distribution of interest: with dust in the market, one base unit
    /// of interest could otherwise multiply the supply index (share inflation). Donations never count as cash.
    uint256 internal constant VIRTUAL_SHARES = 1e6;
    /// @dev 1,000 % per year.
    uint256 private constant MAX_YEARLY_BPS = 100_000;

    /// @notice The number of the last event: every event of the vault carries its own, from 1 and without gaps.
    uint64 public seq;

    mapping(address token => AssetConfig) internal _configs;
    mapping(address token => Reserve) internal _reserves;
    mapping(address provider => mapping(address token => uint256)) internal _scaledSupply;
    mapping(address account => mapping(address token => uint256)) internal _scaledDebt;

    function _nextSeq() internal returns (uint64) {
        return ++seq;
    }

    /// @notice Lists an asset or changes its parameters. The decimals of the token are read once, those of the feed with
    /// each configuration; the feed must have a live answer.
    function _configure(address token, AssetConfig calldata config) internal {
        _validate(token, config);
        Reserve storage reserve = _reserves[token];
        bool listed = reserve.borrowIndex != 0;
        if (listed) {
            _accrue(reserve);
        } else {
            reserve.tokenDecimals = token == NATIVE ? 18 : IERC20Metadata(token).decimals();
            reserve.supplyIndex = RAY;
            reserve.borrowIndex = RAY;
        }
        reserve.feedDecimals = PriceFeed.checkedDecimals(token, reserve.tokenDecimals, config.feed);
        emit AssetParametersChanged(token, _configs[token], config, _nextSeq());
        _configs[token] = config;
        _quote(token);
        emit AssetConfigured(
            token,
            reserve.tokenDecimals,
            reserve.feedDecimals,
            config.ltvBps,
            config.liquidationThresholdBps,
            config.liquidationBonusBps,
            config.feed,
            _nextSeq()
        );
        _publish(token, reserve, true);
    }

    /// @dev threshold x (1 + bonus) <= 1: at the threshold collateral still pays debt and bonus. The sizing of
    /// liquidations relies on it.
    function _validate(address token, AssetConfig calldata config) private view {
        bool collateral = config.ltvBps < config.liquidationThresholdBps
            && uint256(config.liquidationThresholdBps) * (BPS + config.liquidationBonusBps) <= BPS * BPS;
        bool notCollateral = config.ltvBps == 0 && config.liquidationThresholdBps == 0;
        bool rates = config.optimalUtilisationBps > 0 && config.optimalUtilisationBps < BPS
            && uint256(config.baseRateBps) + config.slopeBelowBps + config.slopeAboveBps <= MAX_YEARLY_BPS;
        bool addresses = (token == NATIVE || token.code.length != 0) && config.feed.code.length != 0;
        if (!(collateral || notCollateral) || !rates || !addresses || config.heartbeat == 0) {
            revert InvalidConfig(token);
        }
    }

    function _listed(address token) internal view returns (Reserve storage reserve) {
        reserve = _reserves[token];
        if (reserve.borrowIndex == 0) revert AssetNotListed(token);
    }

    function _quote(address token) internal view returns (Quote memory) {
        AssetConfig storage config = _configs[token];
        Reserve storage reserve = _reserves[token];
        return PriceFeed.live(config.feed, config.heartbeat, reserve.tokenDecimals, reserve.feedDecimals);
    }

    /// @notice Both indexes as they stand now, interest included.
    function _indexes(Reserve storage reserve) internal view returns (uint256 supplyIndex, uint256 borrowIndex) {
        uint256 old = reserve.borrowIndex;
        borrowIndex = InterestRate.grown(old, reserve.borrowRatePerSecond, block.timestamp - reserve.updatedAt);
        uint256 interest = reserve.scaledDebt.mulDiv(borrowIndex, RAY) - reserve.scaledDebt.mulDiv(old, RAY);
        supplyIndex = reserve.supplyIndex + interest.mulDiv(RAY, reserve.scaledSupply + VIRTUAL_SHARES);
    }

    /// @return changed Whether an index moved: it does whenever the rate is not zero. Whoever accrues publishes (below)
    /// after its own effects.
    function _accrue(Reserve storage reserve) internal returns (bool changed) {
        // Indexes move once a second, and not at all at a rate of zero.
        // slither-disable-next-line incorrect-equality
        if (reserve.updatedAt == block.timestamp || reserve.borrowRatePerSecond == 0) return false;
        (uint256 supplyIndex, uint256 borrowIndex) = _indexes(reserve);
        changed = true;
        reserve.supplyIndex = supplyIndex;
        reserve.borrowIndex = borrowIndex;
        reserve.updatedAt = uint40(block.timestamp);
    }

    /// @notice Sets the rate that follows from the present utilisation, and tells of indexes and rate if either moved.
    /// So `updatedAt` is the timestamp of the last IndexUpdated.
    function _publish(address token, Reserve storage reserve, bool changed) internal {
        uint256 rate = InterestRate.ratePerSecond(_configs[token], reserve.cash, _totalDebt(reserve));
        if (!changed && rate == reserve.borrowRatePerSecond) return;
        reserve.borrowRatePerSecond = rate;
        reserve.updatedAt = uint40(block.timestamp);
        emit IndexUpdated(token, reserve.supplyIndex, reserve.borrowIndex, rate, block.timestamp, _nextSeq());
    }

    /// @dev Of an accrued reserve.
    function _totalDebt(Reserve storage reserve) internal view returns (uint256) {
        return reserve.scaledDebt.mulDiv(reserve.borrowIndex, RAY);
    }

    /// @dev Of an accrued reserve.
    function _totalSupply(Reserve storage reserve) internal view returns (uint256) {
        return reserve.scaledSupply.mulDiv(reserve.supplyIndex, RAY);
    }

    function _debt(uint256 scaled, uint256 borrowIndex) internal pure returns (uint256) {
        return scaled.mulDiv(borrowIndex, RAY, Math.Rounding.Ceil);
    }

    function _reduceDebt(address account, address token, uint256 scaled) internal returns (uint256 scaledBalance) {
        scaledBalance = _scaledDebt[account][token] - scaled;
        _scaledDebt[account][token] = scaledBalance;
        _reserves[token].scaledDebt -= scaled;
    }

    /// @notice Takes debt off the books that nobody will pay. Surplus (virtual interest, rounding) bears it first, the
    /// lenders the rest, all at the same index. The caller publishes with `changed = true`.
    function _writeOff(address account, address token, uint256 amount, uint256 scaled) internal {
        Reserve storage reserve = _reserves[token];
        uint256 scaledBalance = _reduceDebt(account, token, scaled);
        if (reserve.scaledSupply != 0) {
            uint256 covered = (reserve.cash + _totalDebt(reserve)).mulDiv(RAY, reserve.scaledSupply);
            reserve.supplyIndex = Math.min(reserve.supplyIndex, covered);
        }
        emit BadDebtWrittenOff(account, token, amount, scaled, scaledBalance, _nextSeq());
    }
}
