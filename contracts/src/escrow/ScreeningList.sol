// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessControlDefaultAdminRules} from
    "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {IScreening} from "./IScreening.sol";
import {Sequence} from "./Sequence.sol";

/// @title ScreeningList
/// @notice An allow-list that the desk's screening keeps on the chain. Who is not on it is not allowed.
contract ScreeningList is IScreening, Sequence, AccessControlDefaultAdminRules {
    event AccountScreened(address indexed account, bool oldAllowed, bool newAllowed, address by, uint64 seq);

    /// @notice Allows and blocks accounts.
    bytes32 public constant SCREENER_ROLE = keccak256("SCREENER_ROLE");

    uint48 private constant ADMIN_TRANSFER_DELAY = 1 days;

    mapping(address account => bool) public isAllowed;

    constructor(address admin) AccessControlDefaultAdminRules(ADMIN_TRANSFER_DELAY, admin) {}

    function setAllowed(address[] calldata accounts, bool allowed) external onlyRole(SCREENER_ROLE) {
        for (uint256 i = 0; i < accounts.length; ++i) {
            address account = accounts[i];
            emit AccountScreened(account, isAllowed[account], allowed, msg.sender, _nextSeq());
            isAllowed[account] = allowed;
        }
    }
}
