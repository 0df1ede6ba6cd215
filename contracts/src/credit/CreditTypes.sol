// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice What the envelopes between two `RemoteCredit` mean. Amounts are credit in USD x 1e8; `ref` is the lock.
library CreditKinds {
    /// @dev Home to abroad: the lock backs `amount` of credit for `account` until `deadline`.
    uint8 internal constant GRANT = 1;
    /// @dev Home to abroad: the collateral no longer covers the credit, its term ends now.
    uint8 internal constant CALL = 2;
    /// @dev Abroad to home: `amount` of the credit is gone, its collateral is the account's again.
    uint8 internal constant RELEASE = 3;
    /// @dev Abroad to home: `amount` of the credit was used and not repaid, its collateral is the treasury's.
    uint8 internal constant SEIZE = 4;
}

/// @notice A lock's id names the chain and the contract that made it, so no other peer can speak of it: 64 bits of
/// chain id, 160 of address, 32 of a count.
library CreditRefs {
    function refOf(uint64 chainId, address app, uint32 count) internal pure returns (bytes32) {
        return bytes32(uint256(chainId) << 192 | uint256(uint160(app)) << 32 | count);
    }

    function chainOf(bytes32 ref) internal pure returns (uint64) {
        return uint64(uint256(ref) >> 192);
    }

    function appOf(bytes32 ref) internal pure returns (address) {
        return address(uint160(uint256(ref) >> 32));
    }
}

/// @dev Collateral at home that backs credit abroad.
struct Lock {
    address account;
    uint64 dstChainId;
    address token;
    uint64 deadline;
    /// @dev Base units of the token, held inside the vault.
    uint256 collateral;
    /// @dev USD x 1e8 that is granted abroad or on its way, in either direction.
    uint256 credit;
}

enum GrantStatus {
    UNKNOWN,
    /// @dev Called in before the grant itself arrived.
    CALLED,
    /// @dev Not on the account's credit line: it arrived after its term, or is the rest of a seizure. Goes home whole.
    LATE,
    /// @dev `amount` is on the account's credit line.
    LIVE
}

/// @dev Credit abroad. With `amount` zero a LATE or LIVE grant is over, and its ref is spent.
struct Grant {
    address account;
    /// @dev Unix seconds from which the term is over.
    uint64 termEnd;
    GrantStatus status;
    /// @dev USD x 1e8.
    uint256 amount;
}

/// @dev How much credit one source chain may put on this one. USD x 1e8.
struct LaneLimits {
    /// @dev Most that may be granted at a time. Zero closes the lane.
    uint128 cap;
    /// @dev Size of the bucket that each grant takes its amount from.
    uint128 burst;
    /// @dev What flows into the bucket.
    uint128 refillPerSecond;
}

struct Lane {
    LaneLimits limits;
    uint256 granted;
    /// @dev Content of the bucket at `updatedAt`.
    uint256 available;
    uint64 updatedAt;
}
