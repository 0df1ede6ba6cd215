// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MockPyth} from "@pythnetwork/pyth-sdk-solidity/MockPyth.sol";

/// @notice For local chains only: Pyth's own mock, whose updates are free.
contract TestPyth is MockPyth {
    constructor() MockPyth(1 days, 0) {}

    /// @notice Publishes a price with the time of this block.
    function publish(bytes32 id, int64 price, uint64 confidence, int32 exponent) external {
        bytes[] memory updates = new bytes[](1);
        uint64 time = uint64(block.timestamp);
        updates[0] = createPriceFeedUpdateData(id, price, confidence, exponent, price, confidence, time, time);
        this.updatePriceFeeds(updates);
    }
}
