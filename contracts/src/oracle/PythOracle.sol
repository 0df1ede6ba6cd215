// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IPyth} from "@pythnetwork/pyth-sdk-solidity/IPyth.sol";
import {PythStructs} from "@pythnetwork/pyth-sdk-solidity/PythStructs.sol";
import {BPS} from "../vault/VaultTypes.sol";
import {OracleFeed} from "./OracleFeed.sol";

struct PythParameters {
    IPyth pyth;
    /// @dev Of a USD pair.
    bytes32 priceId;
    /// @dev Pyth keeps no name on chain: the pair that `priceId` stands for, in Chainlink's form.
    string pair;
    /// @dev Seconds after which a price no longer counts.
    uint32 heartbeat;
    /// @dev The widest confidence interval, in basis points of the price.
    uint16 maxConfidenceBps;
}

/// @title PythOracle
/// @notice One Pyth price, believed only while it is fresh and its publishers agree. Somebody has to bring prices on
/// chain (`updatePriceFeeds`, open to all): without that it is stale. Parameters never change.
contract PythOracle is OracleFeed {
    IPyth public immutable pyth;
    bytes32 public immutable priceId;
    uint32 public immutable heartbeat;
    uint16 public immutable maxConfidenceBps;
    string private _pair;

    constructor(PythParameters memory parameters) {
        if (parameters.heartbeat == 0 || parameters.maxConfidenceBps == 0 || parameters.maxConfidenceBps >= BPS) {
            revert InvalidParameters();
        }
        pyth = parameters.pyth;
        priceId = parameters.priceId;
        heartbeat = parameters.heartbeat;
        maxConfidenceBps = parameters.maxConfidenceBps;
        _pair = parameters.pair;
    }

    /// @dev Pyth's own age check calls a price from the future stale; here each has its name.
    function price() public view override returns (uint256 usd, uint256 updatedAt) {
        PythStructs.Price memory read = pyth.getPriceUnsafe(priceId);
        updatedAt = read.publishTime;
        _requireLive(address(pyth), updatedAt, heartbeat);
        usd = _scaled(address(pyth), read.price, -int256(read.expo));
        // Positive, or `_scaled` had refused it.
        uint256 answer = uint256(int256(read.price));
        if (uint256(read.conf) * BPS > answer * maxConfidenceBps) {
            revert ConfidenceTooWide(address(pyth), read.conf, answer);
        }
    }

    function description() public view override returns (string memory) {
        return _pair;
    }
}
