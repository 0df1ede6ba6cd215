// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessControlDefaultAdminRules} from
    "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Envelope} from "../bridge/Envelope.sol";
import {IBridgeRouter, IMessageApp} from "../bridge/IBridgeRouter.sol";
import {CrossChainVault} from "../CrossChainVault.sol";
import {CreditGrants} from "./CreditGrants.sol";
import {CreditLocks} from "./CreditLocks.sol";
import {CreditMessages} from "./CreditMessages.sol";
import {CreditKinds, LaneLimits} from "./CreditTypes.sol";

/// @title RemoteCredit
/// @notice Collateral of one chain backs credit on another. One contract a chain: home of the locks made here, and
/// giver of credit for locks made elsewhere. It needs LOCKER_ROLE and, alone, CREDIT_ROLE of the vault.
///
/// Invariant over all chains: credit granted or on its way never exceeds the credit of the locks. Each function that
/// sends takes the bridge's fee as `msg.value`; what the bridge does not need returns to the caller.
contract RemoteCredit is
    CreditLocks,
    CreditGrants,
    IMessageApp,
    AccessControlDefaultAdminRules,
    ReentrancyGuardTransient
{
    /// @notice Sets the lanes' limits and the treasury.
    bytes32 public constant RISK_ROLE = keccak256("RISK_ROLE");
    /// @notice Seizes for the treasury, which repays abroad what was seized at home.
    bytes32 public constant SEIZER_ROLE = keccak256("SEIZER_ROLE");

    uint48 private constant ADMIN_TRANSFER_DELAY = 1 days;

    constructor(address admin, CrossChainVault vault_, IBridgeRouter router_, address treasury_, uint64 grace_)
        CreditMessages(vault_, router_)
        CreditGrants(grace_)
        AccessControlDefaultAdminRules(ADMIN_TRANSFER_DELAY, admin)
    {
        _setTreasury(treasury_);
    }

    // -- Home ---------------------------------------------------------------------------------------------------------

    /// @notice Locks `amount` of the caller's collateral and grants it `credit` (USD x 1e8, at most value x LTV) on
    /// `dstChainId` until `deadline`. The collateral returns as the credit does.
    function lock(
        address token,
        uint256 amount,
        uint256 credit,
        uint64 dstChainId,
        bytes32 bridge,
        uint64 deadline
    ) external payable nonReentrant returns (bytes32 ref) {
        return _lock(LockTerms(token, amount, credit, dstChainId, bridge, deadline));
    }

    /// @notice Ends the term of a credit whose collateral is worth less than the credit by its liquidation threshold.
    function call(bytes32 ref, bytes32 bridge) external payable nonReentrant {
        _call(ref, bridge);
    }

    // -- Abroad -------------------------------------------------------------------------------------------------------

    /// @notice The account gives up credit that it does not use; its collateral at home returns pro rata.
    function release(bytes32 ref, uint256 amount, bytes32 bridge) external payable nonReentrant {
        _release(ref, amount, bridge);
    }

    /// @notice After the term: sends home whatever the account does not use. Of a late or seized grant that is all.
    function callIn(bytes32 ref, bytes32 bridge) external payable nonReentrant {
        _callIn(ref, bridge);
    }

    /// @notice After term and grace, once: what the account still uses is paid for by the collateral at home. The credit
    /// line loses the whole grant, so the treasury repays in the same batch; what nobody repays is the vault's bad debt.
    function seize(bytes32 ref, bytes32 bridge) external payable onlyRole(SEIZER_ROLE) nonReentrant {
        _seize(ref, bridge);
    }

    /// @notice Ends the term of a grant whose account is liquidatable here.
    function endTerm(bytes32 ref) external nonReentrant {
        _endTerm(ref);
    }

    // -- Messages -----------------------------------------------------------------------------------------------------

    /// @inheritdoc IMessageApp
    function onMessage(bytes32 id, Envelope calldata envelope) external nonReentrant {
        if (msg.sender != address(router)) revert OnlyRouter(msg.sender);
        if (envelope.kind == CreditKinds.GRANT) _onGrant(id, envelope);
        else if (envelope.kind == CreditKinds.CALL) _onCall(id, envelope);
        else if (envelope.kind == CreditKinds.RELEASE) _onRelease(id, envelope);
        else if (envelope.kind == CreditKinds.SEIZE) _onSeize(id, envelope);
        else revert UnknownKind(envelope.kind);
    }

    // -- Parameters ---------------------------------------------------------------------------------------------------

    function setLane(uint64 srcChainId, LaneLimits calldata limits) external onlyRole(RISK_ROLE) {
        _setLane(srcChainId, limits);
    }

    function setTreasury(address newTreasury) external onlyRole(RISK_ROLE) {
        _setTreasury(newTreasury);
    }
}
