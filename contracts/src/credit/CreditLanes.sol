// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {CreditMessages} from "./CreditMessages.sol";
import {Lane, LaneLimits} from "./CreditTypes.sol";

/// @notice How much credit each source chain may put on this one: at a time (cap) and per time (bucket). A chain whose
/// messages are forged costs at most its lane.
abstract contract CreditLanes is CreditMessages {
    mapping(uint64 srcChainId => Lane) private _lanes;

    /// @notice The lane with its bucket as of now.
    function laneOf(uint64 srcChainId) external view returns (Lane memory lane) {
        lane = _lanes[srcChainId];
        lane.available = _available(_lanes[srcChainId]);
        lane.updatedAt = uint64(block.timestamp);
    }

    /// @dev What flowed in under the old limits stays, as far as the new bucket holds it; a new lane's bucket is full.
    function _setLane(uint64 srcChainId, LaneLimits calldata limits) internal {
        Lane storage lane = _lanes[srcChainId];
        lane.available =
            lane.updatedAt == 0 ? limits.burst : Math.min(_available(lane), limits.burst);
        lane.updatedAt = uint64(block.timestamp);
        emit LaneChanged(srcChainId, lane.limits, limits, lane.available, _nextSeq());
        lane.limits = limits;
    }

    function _enter(uint64 srcChainId, uint256 amount) internal returns (uint256 granted, uint256 available) {
        Lane storage lane = _lanes[srcChainId];
        granted = lane.granted + amount;
        if (granted > lane.limits.cap) {
            revert LaneCapExceeded(srcChainId, Math.saturatingSub(lane.limits.cap, lane.granted));
        }
        available = _available(lane);
        if (amount > available) revert LaneRateExceeded(srcChainId, available);
        available -= amount;
        lane.granted = granted;
        lane.available = available;
        lane.updatedAt = uint64(block.timestamp);
    }

    /// @dev The bucket does not get the amount back: it limits what can come in, whatever leaves.
    function _leave(uint64 srcChainId, uint256 amount) internal returns (uint256 granted) {
        granted = _lanes[srcChainId].granted -= amount;
    }

    function _granted(uint64 srcChainId) internal view returns (uint256) {
        return _lanes[srcChainId].granted;
    }

    function _available(Lane storage lane) private view returns (uint256) {
        uint256 flowed = (block.timestamp - lane.updatedAt) * lane.limits.refillPerSecond;
        return Math.min(lane.available + flowed, lane.limits.burst);
    }
}
