// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AggregatorV3Interface} from "@chainlink/contracts/src/v0.8/shared/interfaces/AggregatorV3Interface.sol";
import {OracleFeed} from "./OracleFeed.sol";

struct ChainlinkParameters {
    /// @dev The proxy of a USD pair.
    AggregatorV3Interface feed;
    /// @dev Seconds after which an answer no longer counts: the feed's own heartbeat and some slack.
    uint32 heartbeat;
    /// @dev USD x 1e18; answers at a bound or beyond are refused. A feed that stands at its own lowest answer answers
    /// exactly that, however far the market falls: set the bound to it, or above.
    uint256 lowest;
    uint256 highest;
    /// @dev The chain's sequencer uptime feed; zero where there is none, as on L1.
    AggregatorV3Interface sequencerFeed;
    /// @dev Seconds after a restart of the sequencer during which nobody could have reacted yet.
    uint32 gracePeriod;
}

/// @title ChainlinkOracle
/// @notice One Chainlink feed, believed only where every check holds. Parameters never change: another oracle is
/// deployed and the vault configured to it, which the vault tells with old and new.
contract ChainlinkOracle is OracleFeed {
    AggregatorV3Interface public immutable feed;
    uint32 public immutable heartbeat;
    uint256 public immutable lowest;
    uint256 public immutable highest;
    AggregatorV3Interface public immutable sequencerFeed;
    uint32 public immutable gracePeriod;

    constructor(ChainlinkParameters memory parameters) {
        bool sequenced = address(parameters.sequencerFeed) != address(0);
        if (parameters.heartbeat == 0 || parameters.lowest >= parameters.highest) revert InvalidParameters();
        if (sequenced != (parameters.gracePeriod != 0)) revert InvalidParameters();
        feed = parameters.feed;
        heartbeat = parameters.heartbeat;
        lowest = parameters.lowest;
        highest = parameters.highest;
        sequencerFeed = parameters.sequencerFeed;
        gracePeriod = parameters.gracePeriod;
    }

    /// @dev The decimals are read each time: the aggregator behind a proxy can be exchanged. `answeredInRound` is
    /// deprecated and says nothing about age.
    function price() public view override returns (uint256 usd, uint256 updatedAt) {
        uint256 upSince = _sequencerUpSince();
        uint80 roundId;
        int256 answer;
        // `answeredInRound` is deprecated, and `startedAt` says nothing about age.
        // slither-disable-next-line unused-return
        (roundId, answer,, updatedAt,) = feed.latestRoundData();
        if (updatedAt == 0) revert RoundIncomplete(address(feed), roundId);
        _requireLive(address(feed), updatedAt, heartbeat);
        // Within its heartbeat, yet from before the outage.
        if (updatedAt < upSince) revert Stale(address(feed), updatedAt);
        usd = _scaled(address(feed), answer, int256(uint256(feed.decimals())));
        if (usd <= lowest || usd >= highest) revert OutOfBounds(address(feed), usd);
    }

    function description() public view override returns (string memory) {
        return feed.description();
    }

    /// @dev 0 where there is no sequencer. Of its feed, answer 0 means up and `startedAt` is the last change.
    function _sequencerUpSince() private view returns (uint256) {
        if (address(sequencerFeed) == address(0)) return 0;
        // The other three say nothing of a sequencer.
        // slither-disable-next-line unused-return
        (, int256 down, uint256 startedAt,,) = sequencerFeed.latestRoundData();
        if (down != 0) revert SequencerDown(address(sequencerFeed));
        if (startedAt == 0 || startedAt > block.timestamp || block.timestamp - startedAt <= gracePeriod) {
            revert SequencerSettling(address(sequencerFeed), startedAt);
        }
        return startedAt;
    }
}
