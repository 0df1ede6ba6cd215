// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Escrow} from "../../src/Escrow.sol";
import {EscrowTerms} from "../../src/escrow/EscrowTerms.sol";
import {ScreeningList} from "../../src/escrow/ScreeningList.sol";
import {EscrowFixture} from "./EscrowFixture.sol";
import {EscrowHandler} from "./EscrowHandler.sol";
import {BlockingToken} from "./Receivers.sol";

/// @notice Escrows one after the other, over a token and under a screening that refuse people now and then.
abstract contract EscrowWorld is EscrowFixture {
    uint256 internal constant FUNDED = 600;

    EscrowHandler internal handler;
    BlockingToken internal token;
    uint256 private made;

    function setUp() public virtual override {
        super.setUp();
        token = new BlockingToken();
        token.mint(payer, 1_000_000);
        vm.prank(payer);
        token.approve(address(factory), type(uint256).max);
        ScreeningList list = new ScreeningList(admin);
        address[] memory accounts = new address[](2);
        (accounts[0], accounts[1]) = (payer, payee);
        bytes32 screener = list.SCREENER_ROLE();
        vm.startPrank(admin);
        list.grantRole(screener, address(this));
        factory.grantRole(factory.COMPLIANCE_ROLE(), admin);
        factory.setScreening(list);
        vm.stopPrank();
        list.setAllowed(accounts, true);
        address expected = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
        vm.prank(admin);
        list.grantRole(screener, expected);
        handler = new EscrowHandler(token, list, this.openNext, approvers, keys);
    }

    /// @dev For the handler, which has no part in who pays whom.
    function openNext() external returns (Escrow) {
        EscrowTerms memory wanted = stagedTerms(payee, address(token), FUNDED);
        wanted.deadline = uint64(block.timestamp + 7 days);
        wanted.ref = bytes32(++made);
        return create(wanted);
    }
}
