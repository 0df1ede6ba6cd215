// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IScreeningSource} from "./IScreening.sol";

/// @notice An EIP-2612 signature. The rest of what it says is known: caller, factory, the sum of the milestones.
struct Permit {
    uint256 deadline;
    uint8 v;
    bytes32 r;
    bytes32 s;
}

/// @notice What the factory tells. `seq` counts its events from 1 without gaps.
interface IEscrowFactory is IScreeningSource {
    event EscrowCreated(
        address indexed escrow,
        address indexed payer,
        address indexed payee,
        address token,
        uint256 amount,
        bytes32 ref,
        uint64 seq
    );
    event ScreeningChanged(address indexed oldScreening, address indexed newScreening, address by, uint64 seq);

    error AccountNotAllowed(address account);
    error InsufficientAllowance(uint256 needed, uint256 allowance);
    error TransferShortfall(uint256 expected, uint256 received);
    error NotAToken(address token);
    error NotAScreening(address screening);
}
