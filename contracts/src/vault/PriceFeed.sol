// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {AggregatorV3Interface} from "@chainlink/contracts/src/v0.8/shared/interfaces/AggregatorV3Interface.sol";
import {IVaultEvents} from "./IVaultEvents.sol";
import {Quote} from "./VaultTypes.sol";

/// @notice Reads Chainlink feeds and values amounts in USD x 1e8. Collateral rounds down, debt rounds up.
library PriceFeed {
    using Math for uint256;

    uint256 private constant USD_DECIMALS = 8;
    uint8 private constant MAX_DECIMALS = 36;

    /// @notice The feed's decimals, once the pair of decimals is one that values can be computed in.
    function checkedDecimals(address token, uint8 tokenDecimals, address feed) internal view returns (uint8) {
        uint8 feedDecimals = AggregatorV3Interface(feed).decimals();
        if (
            tokenDecimals > MAX_DECIMALS || feedDecimals > MAX_DECIMALS
                || uint256(tokenDecimals) + feedDecimals < USD_DECIMALS
        ) revert IVaultEvents.UnsupportedDecimals(token, tokenDecimals, feedDecimals);
        return feedDecimals;
    }

    /// @notice The latest answer, or a revert if it is not positive or older than the heartbeat. An answer from the
    /// future is as little worth as a stale one.
    function live(address feed, uint32 heartbeat, uint8 tokenDecimals, uint8 feedDecimals)
        internal
        view
        returns (Quote memory)
    {
        // The round ids say nothing about the answer that its age does not.
        // slither-disable-next-line unused-return
        (, int256 answer,, uint256 updatedAt,) = AggregatorV3Interface(feed).latestRoundData();
        if (answer <= 0) revert IVaultEvents.InvalidPrice(feed, answer);
        if (updatedAt > block.timestamp || block.timestamp - updatedAt > heartbeat) {
            revert IVaultEvents.StalePrice(feed, updatedAt);
        }
        return Quote(uint256(answer), 10 ** (uint256(tokenDecimals) + feedDecimals - USD_DECIMALS));
    }

    function valueDown(Quote memory quote, uint256 amount) internal pure returns (uint256) {
        return amount.mulDiv(quote.answer, quote.unit);
    }

    function valueUp(Quote memory quote, uint256 amount) internal pure returns (uint256) {
        return amount.mulDiv(quote.answer, quote.unit, Math.Rounding.Ceil);
    }

    function amountDown(Quote memory quote, uint256 usd) internal pure returns (uint256) {
        return usd.mulDiv(quote.unit, quote.answer);
    }

    function amountUp(Quote memory quote, uint256 usd) internal pure returns (uint256) {
        return usd.mulDiv(quote.unit, quote.answer, Math.Rounding.Ceil);
    }
}
