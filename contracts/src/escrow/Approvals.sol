// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {EscrowTerms} from "./EscrowTerms.sol";
import {IEscrowEvents} from "./IEscrowEvents.sol";
import {Sequence} from "./Sequence.sol";

/// @notice Who agrees to the current milestone, told by transaction or by signature (EIP-712; contracts by ERC-1271).
///
/// Invariant: `approvals` counts the approvers of the current milestone, and nobody approves two milestones with one
/// word: a signature names its milestone and uses up the approver's nonce, and revoking voids those still unused.
abstract contract Approvals is IEscrowEvents, Sequence, EIP712, Nonces {
    bytes32 public constant APPROVAL_TYPEHASH =
        keccak256("Approval(uint256 milestone,address approver,uint256 nonce,uint256 deadline)");

    uint8 public threshold;
    /// @notice Of the current milestone.
    uint8 public approvals;
    /// @notice The milestone that collects approvals or awaits its release, from 0.
    uint8 public milestone;

    mapping(address account => bool) public isApprover;
    /// @dev The last milestone approved, plus one. Zero: none.
    mapping(address approver => uint256) private _approvedUpTo;

    constructor() EIP712("Fusion Prime Escrow", "1") {}

    function hasApproved(address approver) public view returns (bool) {
        return _approvedUpTo[approver] == uint256(milestone) + 1;
    }

    /// @notice What an approver signs, under this chain and this escrow.
    function approvalDigest(address approver, uint256 milestone_, uint256 nonce, uint256 deadline_)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(keccak256(abi.encode(APPROVAL_TYPEHASH, milestone_, approver, nonce, deadline_)));
    }

    function _setApprovers(EscrowTerms calldata terms) internal {
        threshold = terms.threshold;
        for (uint256 i = 0; i < terms.approvers.length; ++i) {
            address approver = terms.approvers[i];
            if (approver == address(0) || isApprover[approver]) revert InvalidTerms();
            isApprover[approver] = true;
        }
    }

    /// @return Whether this approval met the conditions.
    function _addApproval(address approver, uint256 milestone_) internal returns (bool) {
        if (milestone_ != milestone) revert WrongMilestone(milestone_, milestone);
        if (!isApprover[approver]) revert NotApprover(approver);
        if (hasApproved(approver)) revert AlreadyApproved(approver);
        _approvedUpTo[approver] = milestone_ + 1;
        ++approvals;
        emit EscrowApproved(approver, milestone_, approvals, nonces(approver), _nextSeq());
        return approvals == threshold;
    }

    function _removeApproval(address approver) internal {
        if (!hasApproved(approver)) revert NotApproved(approver);
        _approvedUpTo[approver] = 0;
        --approvals;
        _useNonce(approver);
        emit EscrowApprovalRevoked(approver, milestone, approvals, nonces(approver), _nextSeq());
    }

    function _useSignature(address approver, uint256 milestone_, uint256 deadline_, bytes calldata signature) internal {
        if (block.timestamp > deadline_) revert SignatureExpired(deadline_);
        bytes32 digest = approvalDigest(approver, milestone_, _useNonce(approver), deadline_);
        if (!SignatureChecker.isValidSignatureNowCalldata(approver, digest, signature)) {
            revert InvalidSignature(approver);
        }
    }

    function _cancelSignatures(address approver) internal {
        if (!isApprover[approver]) revert NotApprover(approver);
        uint256 oldNonce = _useNonce(approver);
        emit EscrowSignaturesCancelled(approver, oldNonce, oldNonce + 1, _nextSeq());
    }

    function _nextMilestone() internal {
        ++milestone;
        approvals = 0;
    }
}
