// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AggregatorV3Interface} from "@chainlink/contracts/src/v0.8/shared/interfaces/AggregatorV3Interface.sol";
import {IPriceOracle} from "./IPriceOracle.sol";

/// @notice An oracle in the form of a Chainlink feed, which is what the vault and the daemon read. Where there is no
/// price, `latestRoundData` reverts: a caller that forgot to check something cannot act on a bad answer.
abstract contract OracleFeed is IPriceOracle, AggregatorV3Interface {
    uint8 public constant override decimals = 18;
    uint256 public constant override version = 1;
    /// @dev What counts as a price at all: within it no product of a price and a share overflows.
    uint256 private constant HIGHEST_USD = type(uint128).max;

    function price() public view virtual override returns (uint256 usd, uint256 updatedAt);

    function description() public view virtual override(IPriceOracle, AggregatorV3Interface) returns (string memory);

    /// @notice The price as a round. Its time is its id: ids grow with the answers, and no round can be asked for later.
    function latestRoundData() external view override returns (uint80, int256, uint256, uint256, uint80) {
        (uint256 usd, uint256 updatedAt) = price();
        return (uint80(updatedAt), int256(usd), updatedAt, updatedAt, uint80(updatedAt));
    }

    /// @notice Keeps no rounds.
    function getRoundData(uint80) external pure override returns (uint80, int256, uint256, uint256, uint80) {
        revert NoHistory();
    }

    /// @dev An answer in units of 10^-`sourceDecimals` USD; what is below 1e-18 is cut off.
    // One branch multiplies, the other divides; no answer takes both.
    // slither-disable-next-line divide-before-multiply
    function _scaled(address source, int256 answer, int256 sourceDecimals) internal pure returns (uint256 usd) {
        if (sourceDecimals < -18 || sourceDecimals > 36) revert UnsupportedScale(source, sourceDecimals);
        if (answer <= 0) revert NotPositive(source, answer);
        usd = uint256(answer);
        if (sourceDecimals <= 18) {
            uint256 scale = 10 ** uint256(18 - sourceDecimals);
            if (usd > HIGHEST_USD / scale) revert OutOfBounds(source, usd);
            usd *= scale;
        } else {
            usd /= 10 ** uint256(sourceDecimals - 18);
            if (usd > HIGHEST_USD) revert OutOfBounds(source, usd);
        }
        if (usd == 0) revert NotPositive(source, 0);
    }

    /// @dev An answer from the future is as little worth as a stale one, and would stay "fresh" for as long.
    function _requireLive(address source, uint256 updatedAt, uint256 heartbeat) internal view {
        if (updatedAt > block.timestamp) revert FromTheFuture(source, updatedAt);
        if (block.timestamp - updatedAt > heartbeat) revert Stale(source, updatedAt);
    }
}
