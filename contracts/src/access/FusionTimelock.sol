// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @notice OpenZeppelin's timelock, compiled and shipped with the contracts it is to govern. Nobody but itself may
/// change its roles and its delay: there is no admin beside it.
contract FusionTimelock is TimelockController {
    /// @param proposers May also cancel.
    constructor(uint256 minDelay, address[] memory proposers, address[] memory executors)
        TimelockController(minDelay, proposers, executors, address(0))
    {}
}
