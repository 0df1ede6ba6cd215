// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NATIVE} from "../vault/VaultTypes.sol";
import {EscrowTerms} from "./EscrowTerms.sol";
import {IEscrowEvents} from "./IEscrowEvents.sol";

/// @notice What can be promised at all. Every bound keeps a later step possible: loops end, sums fit, and somebody
/// can always move the money.
library TermsRules {
    uint256 internal constant MAX_APPROVERS = 16;
    uint256 internal constant MAX_MILESTONES = 32;

    /// @return amount The sum of the milestones.
    function validate(EscrowTerms calldata terms, address payer, address escrow)
        internal
        view
        returns (uint256 amount)
    {
        if (terms.payee == address(0) || terms.payee == payer || terms.payee == escrow) _refuse();
        if (terms.token != NATIVE && terms.token.code.length == 0) _refuse();
        if (terms.approvers.length > MAX_APPROVERS || terms.milestones.length > MAX_MILESTONES) _refuse();
        if (terms.threshold == 0 || terms.threshold > terms.approvers.length) _refuse();
        if (terms.deadline <= block.timestamp) _refuse();
        _validateDispute(terms, payer);
        if (terms.milestones.length == 0) _refuse();
        return total(terms);
    }

    /// @notice The sum of the milestones, each above zero.
    function total(EscrowTerms calldata terms) internal pure returns (uint256 amount) {
        for (uint256 i = 0; i < terms.milestones.length; ++i) {
            if (terms.milestones[i] == 0) _refuse();
            amount += terms.milestones[i];
        }
    }

    /// @dev A dispute needs time to be raised in and time to be ruled on, and an arbiter who is no party.
    function _validateDispute(EscrowTerms calldata terms, address payer) private pure {
        bool disputable = terms.arbiter != address(0);
        if (disputable != (terms.rulingPeriod != 0)) _refuse();
        if (disputable && terms.releaseDelay == 0) _refuse();
        if (disputable && (terms.arbiter == payer || terms.arbiter == terms.payee)) _refuse();
    }

    function _refuse() private pure {
        revert IEscrowEvents.InvalidTerms();
    }
}
