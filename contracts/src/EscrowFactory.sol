// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessControlDefaultAdminRules} from
    "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Escrow} from "./Escrow.sol";
import {EscrowTerms} from "./escrow/EscrowTerms.sol";
import {IEscrowFactory, Permit} from "./escrow/IEscrowFactory.sol";
import {IScreening, Screening} from "./escrow/IScreening.sol";
import {Sequence} from "./escrow/Sequence.sol";
import {TermsRules} from "./escrow/TermsRules.sol";
import {NATIVE} from "./vault/VaultTypes.sol";

/// @title EscrowFactory
/// @notice Makes escrows at addresses that are known beforehand and belong to one payer each: the CREATE2 salt binds
/// payer and reference, so nobody else can occupy the address and a payer cannot use a reference twice.
///
/// Its screening oracle decides whose escrows are made, and whose payouts are held; it is read at each payout, so that
/// a broken one can be replaced. It can hold a payee's money back, and send it nowhere.
contract EscrowFactory is IEscrowFactory, Sequence, AccessControlDefaultAdminRules, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice Names the screening oracle.
    bytes32 public constant COMPLIANCE_ROLE = keccak256("COMPLIANCE_ROLE");

    uint48 private constant ADMIN_TRANSFER_DELAY = 1 days;

    address public immutable implementation = address(new Escrow());

    /// @notice Zero: nobody is screened.
    IScreening public screening;

    constructor(address admin) AccessControlDefaultAdminRules(ADMIN_TRANSFER_DELAY, admin) {}

    /// @notice Makes and funds an escrow of the caller's. ERC-20 needs an allowance to this factory, native currency
    /// comes as `msg.value`.
    function createEscrow(EscrowTerms calldata terms) external payable nonReentrant returns (address escrow) {
        return _create(terms, TermsRules.total(terms));
    }

    /// @notice As `createEscrow`, with the allowance in the same transaction (EIP-2612, over the sum of the milestones).
    /// Whoever sees the permit may use it first; that blocks nothing, for the allowance is there all the same.
    function createEscrowWithPermit(EscrowTerms calldata terms, Permit calldata permit)
        external
        nonReentrant
        returns (address escrow)
    {
        if (terms.token.code.length == 0) revert NotAToken(terms.token);
        uint256 amount = TermsRules.total(terms);
        try IERC20Permit(terms.token).permit(
            msg.sender, address(this), amount, permit.deadline, permit.v, permit.r, permit.s
        ) {} catch {}
        uint256 allowance = IERC20(terms.token).allowance(msg.sender, address(this));
        if (allowance < amount) revert InsufficientAllowance(amount, allowance);
        return _create(terms, amount);
    }

    function predictEscrow(address payer, bytes32 ref) external view returns (address) {
        return Clones.predictDeterministicAddress(implementation, _salt(payer, ref));
    }

    /// @param next A contract, or zero for none.
    function setScreening(IScreening next) external onlyRole(COMPLIANCE_ROLE) {
        if (address(next) != address(0) && address(next).code.length == 0) revert NotAScreening(address(next));
        emit ScreeningChanged(address(screening), address(next), msg.sender, _nextSeq());
        screening = next;
    }

    function _create(EscrowTerms calldata terms, uint256 amount) private returns (address escrow) {
        _requireAllowed(msg.sender);
        _requireAllowed(terms.payee);
        escrow = Clones.cloneDeterministic(implementation, _salt(msg.sender, terms.ref));
        emit EscrowCreated(escrow, msg.sender, terms.payee, terms.token, amount, terms.ref, _nextSeq());
        if (terms.token != NATIVE) _pull(IERC20(terms.token), escrow, amount);
        Escrow(escrow).initialize{value: msg.value}(msg.sender, terms);
    }

    /// @dev Refuses tokens that deliver less than was sent: the escrow would promise more than it holds.
    function _pull(IERC20 token, address escrow, uint256 amount) private {
        uint256 before = token.balanceOf(escrow);
        token.safeTransferFrom(msg.sender, escrow, amount);
        uint256 received = token.balanceOf(escrow) - before;
        if (received != amount) revert TransferShortfall(amount, received);
    }

    function _requireAllowed(address account) private view {
        if (!Screening.allows(screening, account)) revert AccountNotAllowed(account);
    }

    function _salt(address payer, bytes32 ref) private pure returns (bytes32) {
        return keccak256(abi.encode(payer, ref));
    }
}
