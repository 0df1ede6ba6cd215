// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {BPS} from "../vault/VaultTypes.sol";
import {IPriceOracle} from "./IPriceOracle.sol";
import {OracleFeed} from "./OracleFeed.sol";

/// @dev What a price is worth while one source has none.
enum Alone {
    NoPrice,
    /// @dev The other one's price counts; not while it is the sequencer that is down or settling.
    Suffices
}

struct ComparedParameters {
    IPriceOracle first;
    IPriceOracle second;
    /// @dev The widest difference, in basis points of the smaller price.
    uint16 maxDeviationBps;
    Alone alone;
}

/// @title ComparedOracle
/// @notice Two independent sources of one pair. The price is the first one's, with its time, as long as the second one
/// does not contradict. Which of two that disagree is right cannot be known here: then there is no price.
contract ComparedOracle is OracleFeed {
    IPriceOracle public immutable first;
    IPriceOracle public immutable second;
    uint16 public immutable maxDeviationBps;
    Alone public immutable alone;

    constructor(ComparedParameters memory parameters) {
        if (parameters.first == parameters.second || parameters.maxDeviationBps == 0) revert InvalidParameters();
        if (parameters.maxDeviationBps >= BPS) revert InvalidParameters();
        first = parameters.first;
        second = parameters.second;
        maxDeviationBps = parameters.maxDeviationBps;
        alone = parameters.alone;
        (string memory left, string memory right) = (parameters.first.description(), parameters.second.description());
        if (keccak256(bytes(left)) != keccak256(bytes(right))) revert DifferentPairs(left, right);
    }

    function price() public view override returns (uint256 usd, uint256 updatedAt) {
        uint256 other;
        uint256 otherUpdatedAt;
        (usd, updatedAt) = _read(first);
        (other, otherUpdatedAt) = _read(second);
        if (usd == 0) {
            // Both down: the first one's reason is the one to mend.
            if (other == 0) return first.price();
            return (other, otherUpdatedAt);
        }
        if (other == 0) return (usd, updatedAt);
        (uint256 low, uint256 high) = usd < other ? (usd, other) : (other, usd);
        if ((high - low) * BPS > low * maxDeviationBps) revert SourcesDisagree(usd, other);
    }

    function description() public view override returns (string memory) {
        return first.description();
    }

    /// @dev 0: the source is down and the other one suffices. A caller that is short of gas cannot feign that: what is
    /// left after a source has used 63/64 up does not suffice for the call it was made in.
    function _read(IPriceOracle source) private view returns (uint256, uint256) {
        try source.price() returns (uint256 usd, uint256 updatedAt) {
            return (usd, updatedAt);
        } catch (bytes memory reason) {
            if (_isSequencers(reason)) LowLevelCall.bubbleRevert(reason);
            if (alone == Alone.NoPrice) revert SourceDown(address(source), reason);
            return (0, 0);
        }
    }

    /// @dev Then it is the chain that was down, not the source: whoever tells a price now, nobody could react to it.
    function _isSequencers(bytes memory reason) private pure returns (bool) {
        bytes4 selector = bytes4(reason);
        return selector == SequencerDown.selector || selector == SequencerSettling.selector;
    }
}
