// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice A price that may be acted upon, or none. INVARIANT: whatever `price` returns is positive, live and not from
/// the future; every doubt is a revert with one of these errors, which name the source that is to blame.
interface IPriceOracle {
    error InvalidParameters();
    error UnsupportedScale(address source, int256 decimals);
    error NotPositive(address source, int256 answer);
    error RoundIncomplete(address source, uint80 roundId);
    error Stale(address source, uint256 updatedAt);
    error FromTheFuture(address source, uint256 updatedAt);
    error OutOfBounds(address source, uint256 usd);
    error SequencerDown(address sequencerFeed);
    /// @notice Up since `since` only (0: the feed has told nothing yet): what happened meanwhile is not priced in.
    error SequencerSettling(address sequencerFeed, uint256 since);
    error ConfidenceTooWide(address source, uint256 confidence, uint256 answer);
    error SourcesDisagree(uint256 first, uint256 second);
    error SourceDown(address source, bytes reason);
    error DifferentPairs(string first, string second);
    error NoHistory();

    /// @return usd USD x 1e18 for one whole unit of the asset.
    /// @return updatedAt Unix seconds.
    function price() external view returns (uint256 usd, uint256 updatedAt);

    /// @return The pair in Chainlink's form, such as "ETH / USD".
    function description() external view returns (string memory);
}
