// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "forge-std/Test.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {RAY, Reserve} from "../src/vault/VaultTypes.sol";
import {VaultMarket} from "./VaultMarket.sol";

/// @notice The events are enough: a fold over the logs alone, as an indexer does it, gives every balance, debt with
/// interest, credit line, book and index of the vault; each event tells the balance that results, and the numbers have
/// no gap.
contract VaultEventsTest is VaultMarket {
    mapping(address account => mapping(address token => uint256)) private collateral;
    mapping(address account => mapping(address token => uint256)) private debt;
    mapping(address account => mapping(address token => uint256)) private shares;
    mapping(address account => uint256) private lines;
    mapping(address token => Reserve) private books;
    uint64 private last;

    function setUp() public override {
        vm.recordLogs();
        super.setUp();
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_logs_alone_rebuild_the_vault(uint256 seed) public {
        for (uint256 i = 0; i < 150; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            act(seed % 15, seed >> 8, seed >> 16, uint256(keccak256(abi.encode(seed, 1))));
        }
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter == address(vault)) fold(logs[i]);
        }
        assertEq(last, vault.seq());
        for (uint256 k = 0; k < 4; ++k) compare(handler.tokens(k));
    }

    function act(uint256 kind, uint256 who, uint256 what, uint256 size) private {
        if (kind == 0) handler.supply(who, what, size);
        else if (kind == 1) handler.redeem(who, what, size);
        else if (kind <= 3) handler.deposit(who, what, size);
        else if (kind == 4) handler.withdraw(who, what, size);
        else if (kind <= 7) handler.borrow(who, what, 100);
        else if (kind == 8) handler.repay(who, who >> 4, what, size);
        else if (kind <= 10) handler.liquidate(who, who >> 4, what, size);
        else if (kind == 11) handler.crash(what, size);
        else if (kind == 12) handler.pass(size);
        else if (kind == 13) handler.transfer(who, who >> 4, what, size);
        else handler.setCreditLine(who, size);
    }

    function topic(Vm.Log memory log, uint256 i) private pure returns (address) {
        return log.topics.length > i ? address(uint160(uint256(log.topics[i]))) : address(0);
    }

    function fold(Vm.Log memory log) private {
        bytes32 kind = log.topics[0];
        if (kind == IAccessControl.RoleGranted.selector) return;
        uint64 seq = uint64(uint256(word(log.data, log.data.length / 32 - 1)));
        assertEq(seq, last + 1, "a gap");
        last = seq;
        (address account, address token) = (topic(log, 1), topic(log, 2));
        if (kind == CollateralDeposited.selector || kind == CollateralWithdrawn.selector) {
            foldCollateral(account, token, kind == CollateralDeposited.selector, log.data);
        } else if (kind == CollateralTransferred.selector) {
            move(collateral[account], topic(log, 3), word(log.data, 0), false, word(log.data, 1));
            move(collateral[token], topic(log, 3), word(log.data, 0), true, word(log.data, 2));
        } else if (kind == LiquiditySupplied.selector || kind == LiquidityRedeemed.selector) {
            foldLiquidity(account, token, kind == LiquiditySupplied.selector, log.data);
        } else if (kind == Borrowed.selector || kind == Repaid.selector) {
            foldDebt(account, token, kind == Borrowed.selector, log.data);
        } else if (kind == Liquidated.selector) {
            foldLiquidation(account, token, topic(log, 3), log.data);
        } else {
            foldRegister(log, kind, account, token);
        }
    }

    function word(bytes memory data, uint256 i) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(add(data, 32), mul(i, 32)))
        }
    }

    /// @dev The balance that results is the one told.
    function move(
        mapping(address token => uint256) storage balances,
        address token,
        uint256 amount,
        bool up,
        uint256 resulting
    ) private {
        if (up) balances[token] += amount;
        else balances[token] -= amount;
        assertEq(balances[token], resulting, "resulting balance");
    }

    function foldCollateral(address account, address token, bool up, bytes memory data) private {
        uint256 amount = word(data, 0);
        move(collateral[account], token, amount, up, word(data, 1));
        if (up) books[token].collateral += amount;
        else books[token].collateral -= amount;
    }

    function foldLiquidity(address account, address token, bool up, bytes memory data) private {
        (uint256 amount, uint256 scaled) = (word(data, 0), word(data, 1));
        move(shares[account], token, scaled, up, word(data, 2));
        Reserve storage book = books[token];
        book.cash = up ? book.cash + amount : book.cash - amount;
        book.scaledSupply = up ? book.scaledSupply + scaled : book.scaledSupply - scaled;
    }

    function foldDebt(address account, address token, bool up, bytes memory data) private {
        (uint256 amount, uint256 scaled) = (word(data, 0), word(data, 1));
        move(debt[account], token, scaled, up, word(data, 2));
        Reserve storage book = books[token];
        book.cash = up ? book.cash - amount : book.cash + amount;
        book.scaledDebt = up ? book.scaledDebt + scaled : book.scaledDebt - scaled;
    }

    /// @dev liquidator, repaid, scaledRepaid, seized, scaledDebtBalance, collateralBalance, seq
    function foldLiquidation(address account, address debtToken, address collateralToken, bytes memory data) private {
        move(debt[account], debtToken, word(data, 2), false, word(data, 4));
        move(collateral[account], collateralToken, word(data, 3), false, word(data, 5));
        books[debtToken].cash += word(data, 1);
        books[debtToken].scaledDebt -= word(data, 2);
        books[collateralToken].collateral -= word(data, 3);
    }

    function foldRegister(Vm.Log memory log, bytes32 kind, address first, address token) private {
        Reserve storage book = books[first];
        if (kind == BadDebtWrittenOff.selector) {
            move(debt[first], token, word(log.data, 1), false, word(log.data, 2));
            books[token].scaledDebt -= word(log.data, 1);
        } else if (kind == IndexUpdated.selector) {
            (book.supplyIndex, book.borrowIndex) = (word(log.data, 0), word(log.data, 1));
            (book.borrowRatePerSecond, book.updatedAt) = (word(log.data, 2), uint40(word(log.data, 3)));
        } else if (kind == CreditLineSet.selector) {
            assertEq(lines[first], word(log.data, 0), "old limit");
            lines[first] = word(log.data, 1);
        } else if (kind == AssetConfigured.selector) {
            (book.tokenDecimals, book.feedDecimals) = (uint8(word(log.data, 0)), uint8(word(log.data, 1)));
        }
    }

    function compare(address token) private view {
        Reserve memory book = books[token];
        assertEq(abi.encode(book), abi.encode(vault.reserveOf(token)), "book");
        uint256 grown = RAY + book.borrowRatePerSecond * (block.timestamp - book.updatedAt);
        uint256 borrowIndex = book.borrowIndex * grown / RAY;
        for (uint256 i = 0; i < handler.actorCount(); ++i) {
            address actor = handler.actors(i);
            assertEq(collateral[actor][token], vault.collateralOf(actor, token), "collateral");
            assertEq(shares[actor][token], vault.scaledSupplyOf(actor, token), "shares");
            assertEq(debt[actor][token], vault.scaledDebtOf(actor, token), "debt");
            uint256 owed = (debt[actor][token] * borrowIndex + RAY - 1) / RAY;
            assertEq(owed, vault.debtOf(actor, token), "debt with interest");
            assertEq(lines[actor], vault.creditLineOf(actor), "credit line");
        }
    }
}
