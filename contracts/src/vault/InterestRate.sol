// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {AssetConfig, BPS, RAY} from "./VaultTypes.sol";

/// @notice Interest as pure functions. Between two accruals an index grows linearly; each accrual compounds.
library InterestRate {
    using Math for uint256;

    uint256 private constant BPS_YEAR = BPS * 365 days;

    /// @notice The kinked model: base, plus a slope up to the optimal utilisation, plus a steeper one above it.
    /// @return Ray per second, rounded down.
    function ratePerSecond(AssetConfig memory config, uint256 cash, uint256 debt) internal pure returns (uint256) {
        uint256 yearly = uint256(config.baseRateBps) * RAY;
        if (debt != 0) {
            uint256 utilisation = debt.mulDiv(RAY, cash + debt);
            // RAY is a multiple of BPS: the division is exact.
            // slither-disable-next-line divide-before-multiply
            uint256 optimal = uint256(config.optimalUtilisationBps) * (RAY / BPS);
            yearly += uint256(config.slopeBelowBps) * Math.min(utilisation, optimal).mulDiv(RAY, optimal);
            if (utilisation > optimal) {
                yearly += uint256(config.slopeAboveBps) * (utilisation - optimal).mulDiv(RAY, RAY - optimal);
            }
        }
        return yearly / BPS_YEAR;
    }

    /// @notice borrowIndex x (RAY + rate x elapsed) / RAY, rounded down.
    function grown(uint256 borrowIndex, uint256 rate, uint256 elapsed) internal pure returns (uint256) {
        return borrowIndex.mulDiv(RAY + rate * elapsed, RAY);
    }
}
