// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Escrow, EscrowTerms} from "./Escrow.sol";
import {NATIVE} from "./vault/VaultTypes.sol";

/// @title EscrowFactory
/// @notice Makes escrows at addresses that are known beforehand and belong to one payer each: the CREATE2 salt binds
/// payer and reference, so nobody else can occupy the address and a payer cannot use a reference twice.
contract EscrowFactory is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    event EscrowCreated(
        address indexed escrow, address indexed payer, address indexed payee, address token, uint256 amount, bytes32 ref
    );

    address public immutable implementation = address(new Escrow());

    /// @notice Makes and funds an escrow of the caller's. ERC-20 needs an allowance to this factory, native currency
    /// comes as `msg.value`.
    function createEscrow(EscrowTerms calldata terms) external payable nonReentrant returns (address escrow) {
        escrow = Clones.cloneDeterministic(implementation, _salt(msg.sender, terms.ref));
        emit EscrowCreated(escrow, msg.sender, terms.payee, terms.token, terms.amount, terms.ref);
        if (terms.token != NATIVE) IERC20(terms.token).safeTransferFrom(msg.sender, escrow, terms.amount);
        Escrow(escrow).initialize{value: msg.value}(msg.sender, terms);
    }

    function predictEscrow(address payer, bytes32 ref) external view returns (address) {
        return Clones.predictDeterministicAddress(implementation, _salt(payer, ref));
    }

    function _salt(address payer, bytes32 ref) private pure returns (bytes32) {
        return keccak256(abi.encode(payer, ref));
    }
}
