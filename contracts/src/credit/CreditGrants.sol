// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Envelope} from "../bridge/Envelope.sol";
import {Outbound} from "../bridge/IBridgeRouter.sol";
import {AccountValue, BPS} from "../vault/VaultTypes.sol";
import {CreditLanes} from "./CreditLanes.sol";
import {CreditKinds, CreditRefs, Grant, GrantStatus} from "./CreditTypes.sol";

/// @notice The remote half: credit lines here that are backed by locks on other chains.
///
///     GRANT in term -> LIVE -- release (account), callIn (anyone, term over), seize (desk, grace over) --> amount 0
///     GRANT late, or after its CALL -> LATE -- callIn (anyone) --> amount 0
///     seize: what was used goes home, the rest leaves the credit line with it and is LATE
///     GRANT over cap or rate -> refused: the router stores it, anyone retries; from the deadline on it is LATE
///
/// Invariant: an amount leaves a grant in the same step in which a message takes it home, so it is never in two places.
/// A ref is granted at most once, whatever is delivered again, and seized at most once: the debt that was seized for
/// may still be unpaid and would count as used again.
abstract contract CreditGrants is CreditLanes {
    /// @notice Seconds between the end of a term and the seizure of what was not repaid.
    uint64 public immutable grace;

    mapping(bytes32 ref => Grant) private _grants;

    constructor(uint64 grace_) {
        grace = grace_;
    }

    function grantOf(bytes32 ref) external view returns (Grant memory) {
        return _grants[ref];
    }

    // -- Messages from home -------------------------------------------------------------------------------------------

    function _onGrant(bytes32 id, Envelope calldata envelope) internal {
        _requireOrigin(envelope);
        Grant storage grant = _grants[envelope.ref];
        GrantStatus status = grant.status;
        if (status == GrantStatus.LIVE || status == GrantStatus.LATE) revert GrantExists(envelope.ref);
        grant.account = envelope.account;
        grant.amount = envelope.amount;
        if (status == GrantStatus.UNKNOWN) grant.termEnd = envelope.deadline;
        if (status == GrantStatus.CALLED || block.timestamp >= envelope.deadline) {
            grant.status = GrantStatus.LATE;
            emit GrantLate(envelope.account, envelope.ref, id, envelope.amount, grant.termEnd, _nextSeq());
            return;
        }
        grant.status = GrantStatus.LIVE;
        (uint256 granted, uint256 available) = _enter(envelope.srcChainId, envelope.amount);
        uint256 line = vault.creditLineOf(envelope.account) + envelope.amount;
        vault.setCreditLine(envelope.account, line);
        emit CreditGranted(
            envelope.account,
            envelope.ref,
            id,
            envelope.amount,
            envelope.deadline,
            line,
            granted,
            available,
            _nextSeq()
        );
    }

    /// @dev May overtake its grant, which is then never credited.
    function _onCall(bytes32 id, Envelope calldata envelope) internal {
        _requireOrigin(envelope);
        Grant storage grant = _grants[envelope.ref];
        if (grant.status == GrantStatus.UNKNOWN) {
            grant.status = GrantStatus.CALLED;
            grant.termEnd = uint64(block.timestamp);
        } else if (grant.termEnd > block.timestamp) {
            grant.termEnd = uint64(block.timestamp);
        } else {
            return;
        }
        emit TermEnded(envelope.ref, id, grant.termEnd, _nextSeq());
    }

    function _requireOrigin(Envelope calldata envelope) private pure {
        if (
            CreditRefs.chainOf(envelope.ref) != envelope.srcChainId || CreditRefs.appOf(envelope.ref) != envelope.srcApp
        ) revert ForeignRef(envelope.ref);
    }

    // -- Ways home ----------------------------------------------------------------------------------------------------

    function _release(bytes32 ref, uint256 amount, bytes32 bridge) internal {
        Grant storage grant = _known(ref);
        if (msg.sender != grant.account) revert NotGrantee(msg.sender);
        if (amount == 0) revert ZeroAmount();
        if (amount > grant.amount) revert AmountAboveGrant(ref, grant.amount);
        uint256 unused = _unused(grant);
        if (amount > unused) revert CreditInUse(grant.account, unused);
        _giveUp(ref, amount, CreditKinds.RELEASE, bridge);
    }

    function _callIn(bytes32 ref, bytes32 bridge) internal {
        Grant storage grant = _known(ref);
        if (block.timestamp < grant.termEnd) revert TermNotOver(ref, grant.termEnd);
        uint256 unused = _unused(grant);
        if (unused == 0) revert NothingUnused(ref);
        _giveUp(ref, unused, CreditKinds.RELEASE, bridge);
    }

    function _seize(bytes32 ref, bytes32 bridge) internal {
        Grant storage grant = _known(ref);
        uint64 until = grant.termEnd + grace;
        if (block.timestamp < until) revert GraceNotOver(ref, until);
        uint256 used = grant.amount - _unused(grant);
        if (used == 0) revert NothingUsed(ref);
        _giveUp(ref, used, CreditKinds.SEIZE, bridge);
    }

    function _endTerm(bytes32 ref) internal {
        Grant storage grant = _known(ref);
        if (grant.termEnd <= block.timestamp) return;
        AccountValue memory value = vault.valueOf(grant.account);
        if (value.threshold >= value.debtUsd * BPS) revert AccountHealthy(grant.account);
        grant.termEnd = uint64(block.timestamp);
        emit TermEnded(ref, bytes32(0), grant.termEnd, _nextSeq());
    }

    function _known(bytes32 ref) private view returns (Grant storage grant) {
        grant = _grants[ref];
        if (grant.amount == 0) revert UnknownGrant(ref);
    }

    /// @dev A line that the desk lowered below its grants falls to zero, not below.
    function _giveUp(bytes32 ref, uint256 amount, uint8 kind, bytes32 bridge) private {
        Grant storage grant = _grants[ref];
        uint64 home = CreditRefs.chainOf(ref);
        uint256 offLine = kind == CreditKinds.SEIZE ? grant.amount : amount;
        uint256 left = grant.amount -= amount;
        uint256 line = vault.creditLineOf(grant.account);
        uint256 granted = _granted(home);
        bool live = grant.status == GrantStatus.LIVE;
        if (kind == CreditKinds.SEIZE) grant.status = GrantStatus.LATE;
        if (live) {
            granted = _leave(home, offLine);
            line = Math.saturatingSub(line, offLine);
            vault.setCreditLine(grant.account, line);
        }
        bytes32 id = _send(Outbound(bridge, home, kind, grant.account, address(0), amount, 0, ref));
        if (kind == CreditKinds.SEIZE) {
            emit CreditSeized(grant.account, ref, id, amount, left, line, granted, _nextSeq());
        } else {
            emit CreditReleased(grant.account, ref, id, amount, left, line, granted, _nextSeq());
        }
    }

    /// @notice How much of a grant the account can do without and keep its borrowing power. All that is unused of its
    /// credit line counts for the grant that is asked about first. Needs no price of an account without debt.
    function _unused(Grant storage grant) private view returns (uint256) {
        if (grant.status == GrantStatus.LATE || !_hasDebt(grant.account)) return grant.amount;
        AccountValue memory value = vault.valueOf(grant.account);
        uint256 free = Math.saturatingSub(value.borrowingPower, value.debtUsd * BPS) / BPS;
        return Math.min(grant.amount, free);
    }

    function _hasDebt(address account) private view returns (bool) {
        address[] memory tokens = vault.assetsOf(account);
        for (uint256 i = 0; i < tokens.length; ++i) {
            if (vault.scaledDebtOf(account, tokens[i]) != 0) return true;
        }
        return false;
    }
}
