// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {LaneLimits} from "./CreditTypes.sol";

/// @notice What an indexer folds: from these events alone every lock, grant and lane can be rebuilt. Credit is in USD x
/// 1e8, collateral in base units; `seq` counts the contract's events from 1 without gaps; `messageId` is the id of the
/// envelope that the event caused or that caused the event.
interface ICreditEvents {
    // -- Home ---------------------------------------------------------------------------------------------------------

    event CollateralLocked(
        address indexed account,
        bytes32 indexed ref,
        bytes32 indexed messageId,
        address token,
        uint256 collateral,
        uint256 credit,
        uint64 dstChainId,
        uint64 deadline,
        uint64 seq
    );
    /// @notice The collateral is worth less than its threshold asks for: the term abroad is told to end.
    event CreditCalled(
        address indexed account,
        bytes32 indexed ref,
        bytes32 indexed messageId,
        uint256 valueUsd,
        uint256 credit,
        uint64 seq
    );
    /// @notice `credit` came home unused or repaid. The last two amounts are what the lock still holds.
    event CollateralReleased(
        address indexed account,
        bytes32 indexed ref,
        bytes32 indexed messageId,
        address token,
        uint256 credit,
        uint256 collateral,
        uint256 creditLeft,
        uint256 collateralLeft,
        uint64 seq
    );
    /// @notice `credit` was used abroad and not repaid.
    event CollateralSeized(
        address indexed account,
        bytes32 indexed ref,
        bytes32 indexed messageId,
        address token,
        address treasury,
        uint256 credit,
        uint256 collateral,
        uint256 creditLeft,
        uint256 collateralLeft,
        uint64 seq
    );

    // -- Abroad -------------------------------------------------------------------------------------------------------

    event CreditGranted(
        address indexed account,
        bytes32 indexed ref,
        bytes32 indexed messageId,
        uint256 amount,
        uint64 termEnd,
        uint256 creditLine,
        uint256 laneGranted,
        uint256 laneAvailable,
        uint64 seq
    );
    /// @notice The grant arrived after its term: it waits for `callIn`.
    event GrantLate(
        address indexed account,
        bytes32 indexed ref,
        bytes32 indexed messageId,
        uint256 amount,
        uint64 termEnd,
        uint64 seq
    );
    /// @notice The term ended early: called from home (`messageId`), or the account is liquidatable here (zero).
    event TermEnded(bytes32 indexed ref, bytes32 indexed messageId, uint64 termEnd, uint64 seq);
    /// @notice `amount` goes home. The last three amounts are what is left here.
    event CreditReleased(
        address indexed account,
        bytes32 indexed ref,
        bytes32 indexed messageId,
        uint256 amount,
        uint256 amountLeft,
        uint256 creditLine,
        uint256 laneGranted,
        uint64 seq
    );
    /// @notice `amount` was used and not repaid in time: the collateral at home pays for it. What is left is on no
    /// credit line any more and waits for `callIn`.
    event CreditSeized(
        address indexed account,
        bytes32 indexed ref,
        bytes32 indexed messageId,
        uint256 amount,
        uint256 amountLeft,
        uint256 creditLine,
        uint256 laneGranted,
        uint64 seq
    );

    // -- Parameters ---------------------------------------------------------------------------------------------------

    event LaneChanged(
        uint64 indexed srcChainId, LaneLimits oldLimits, LaneLimits newLimits, uint256 laneAvailable, uint64 seq
    );
    event TreasuryChanged(address oldTreasury, address newTreasury, uint64 seq);

    error OnlyRouter(address caller);
    error UnknownKind(uint8 kind);
    error ZeroAddress();
    error ZeroAmount();

    error InvalidDeadline(uint64 deadline);
    error CreditAboveValue(uint256 credit, uint256 borrowable);
    error UnknownLock(bytes32 ref);
    error CreditAboveLock(bytes32 ref, uint256 credit);
    error StillCovered(bytes32 ref, uint256 valueUsd, uint256 credit);

    error ForeignRef(bytes32 ref);
    error GrantExists(bytes32 ref);
    error UnknownGrant(bytes32 ref);
    error NotGrantee(address caller);
    error AmountAboveGrant(bytes32 ref, uint256 amount);
    error CreditInUse(address account, uint256 unused);
    error TermNotOver(bytes32 ref, uint64 termEnd);
    error GraceNotOver(bytes32 ref, uint64 until);
    error AccountHealthy(address account);
    error NothingUnused(bytes32 ref);
    error NothingUsed(bytes32 ref);

    error LaneCapExceeded(uint64 srcChainId, uint256 room);
    error LaneRateExceeded(uint64 srcChainId, uint256 available);
}
