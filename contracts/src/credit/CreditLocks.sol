// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Envelope} from "../bridge/Envelope.sol";
import {Outbound} from "../bridge/IBridgeRouter.sol";
import {AssetConfig, BPS} from "../vault/VaultTypes.sol";
import {CreditMessages} from "./CreditMessages.sol";
import {CreditKinds, CreditRefs, Lock} from "./CreditTypes.sol";

/// @notice The home half: collateral that backs credit on another chain.
///
/// Invariant: `credit` of a lock falls only by what its peer gave up and sent home. So it equals, at every moment, what
/// is granted abroad plus what is on its way in either direction, whatever the order of deliveries; and what this
/// contract holds in the vault is the sum of its locks' collateral.
abstract contract CreditLocks is CreditMessages {
    using Math for uint256;

    uint64 public constant MAX_TERM = 365 days;

    /// @notice The account of the vault that receives seized collateral.
    address public treasury;

    mapping(bytes32 ref => Lock) private _locks;
    uint32 private _lockCount;

    struct LockTerms {
        address token;
        uint256 amount;
        uint256 credit;
        uint64 dstChainId;
        bytes32 bridge;
        uint64 deadline;
    }

    function lockOf(bytes32 ref) external view returns (Lock memory) {
        return _locks[ref];
    }

    /// @dev Everything but the guard of `RemoteCredit.lock`.
    function _lock(LockTerms memory terms) internal returns (bytes32 ref) {
        if (terms.deadline <= block.timestamp || terms.deadline > block.timestamp + MAX_TERM) {
            revert InvalidDeadline(terms.deadline);
        }
        if (terms.credit == 0) revert ZeroAmount();
        uint256 borrowable = _valueOf(terms.token, terms.amount) * vault.configOf(terms.token).ltvBps / BPS;
        if (terms.credit > borrowable) revert CreditAboveValue(terms.credit, borrowable);
        ref = CreditRefs.refOf(uint64(block.chainid), address(this), ++_lockCount);
        _locks[ref] =
            Lock(msg.sender, terms.dstChainId, terms.token, terms.deadline, terms.amount, terms.credit);
        vault.transferCollateral(msg.sender, terms.token, terms.amount, address(this));
        bytes32 id = _send(_outbound(CreditKinds.GRANT, ref, terms.bridge));
        emit CollateralLocked(
            msg.sender,
            ref,
            id,
            terms.token,
            terms.amount,
            terms.credit,
            terms.dstChainId,
            terms.deadline,
            _nextSeq()
        );
    }

    /// @dev Open to all and repeatable: a call that was lost can be sent again, and one too many does nothing abroad.
    function _call(bytes32 ref, bytes32 bridge) internal {
        Lock memory lock_ = _locks[ref];
        if (lock_.credit == 0) revert UnknownLock(ref);
        uint256 valueUsd = _valueOf(lock_.token, lock_.collateral);
        AssetConfig memory config = vault.configOf(lock_.token);
        if (valueUsd * config.liquidationThresholdBps >= lock_.credit * BPS) {
            revert StillCovered(ref, valueUsd, lock_.credit);
        }
        bytes32 id = _send(_outbound(CreditKinds.CALL, ref, bridge));
        emit CreditCalled(lock_.account, ref, id, valueUsd, lock_.credit, _nextSeq());
    }

    function _outbound(uint8 kind, bytes32 ref, bytes32 bridge) private view returns (Outbound memory) {
        Lock storage lock_ = _locks[ref];
        return Outbound({
            bridge: bridge,
            dstChainId: lock_.dstChainId,
            kind: kind,
            account: lock_.account,
            asset: lock_.token,
            amount: lock_.credit,
            deadline: lock_.deadline,
            ref: ref
        });
    }

    function _onRelease(bytes32 id, Envelope calldata envelope) internal {
        Lock storage lock_ = _locks[envelope.ref];
        uint256 collateral = _reduce(lock_, envelope);
        _move(lock_.token, collateral, lock_.account);
        emit CollateralReleased(
            lock_.account,
            envelope.ref,
            id,
            lock_.token,
            envelope.amount,
            collateral,
            lock_.credit,
            lock_.collateral,
            _nextSeq()
        );
    }

    function _onSeize(bytes32 id, Envelope calldata envelope) internal {
        Lock storage lock_ = _locks[envelope.ref];
        uint256 collateral = _reduce(lock_, envelope);
        _move(lock_.token, collateral, treasury);
        emit CollateralSeized(
            lock_.account,
            envelope.ref,
            id,
            lock_.token,
            treasury,
            envelope.amount,
            collateral,
            lock_.credit,
            lock_.collateral,
            _nextSeq()
        );
    }

    /// @notice Takes credit off a lock with its share of the collateral, rounded down, the last with all that is left.
    /// The share depends on no price and hardly (rounding) on the order of the messages.
    function _reduce(Lock storage lock_, Envelope calldata envelope) private returns (uint256 collateral) {
        if (lock_.account == address(0) || lock_.dstChainId != envelope.srcChainId) revert UnknownLock(envelope.ref);
        if (envelope.amount > lock_.credit) revert CreditAboveLock(envelope.ref, lock_.credit);
        collateral = lock_.collateral.mulDiv(envelope.amount, lock_.credit);
        lock_.credit -= envelope.amount;
        lock_.collateral -= collateral;
    }

    function _move(address token, uint256 amount, address to) private {
        if (amount != 0) vault.transferCollateral(address(this), token, amount, to);
    }

    function _setTreasury(address newTreasury) internal {
        if (newTreasury == address(0)) revert ZeroAddress();
        emit TreasuryChanged(treasury, newTreasury, _nextSeq());
        treasury = newTreasury;
    }

    /// @return USD x 1e8, rounded down.
    function _valueOf(address token, uint256 amount) private view returns (uint256) {
        (uint256 answer, uint256 unit) = vault.quoteOf(token);
        return amount.mulDiv(answer, unit);
    }
}
