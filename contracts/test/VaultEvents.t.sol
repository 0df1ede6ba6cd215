// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "forge-std/Test.sol";
import {RAY, Reserve} from "../src/vault/VaultTypes.sol";
import {VaultMarket} from "./VaultInvariants.t.sol";

/// @notice The events are enough: a fold over the logs alone, as an indexer does it, gives every balance, debt with
/// interest, credit line and index of the vault.
contract VaultEventsTest is VaultMarket {
    struct Index {
        uint256 supply;
        uint256 borrow;
        uint256 rate;
        uint256 timestamp;
    }

    mapping(address account => mapping(address token => uint256)) private collateral;
    mapping(address account => mapping(address token => uint256)) private debt;
    mapping(address account => mapping(address token => uint256)) private shares;
    mapping(address account => uint256) private lines;
    mapping(address token => Index) private indexes;

    function setUp() public override {
        vm.recordLogs();
        super.setUp();
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_logs_alone_rebuild_the_vault(uint256 seed) public {
        for (uint256 i = 0; i < 150; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            act(seed % 14, seed >> 8, seed >> 16, uint256(keccak256(abi.encode(seed, 1))));
        }
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter == address(vault)) fold(logs[i]);
        }
        compare();
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
        else handler.setCreditLine(who, size);
    }

    function fold(Vm.Log memory log) private {
        bytes32 kind = log.topics[0];
        address account = log.topics.length > 1 ? address(uint160(uint256(log.topics[1]))) : address(0);
        address token = log.topics.length > 2 ? address(uint160(uint256(log.topics[2]))) : address(0);
        if (kind == CollateralDeposited.selector) {
            (uint256 amount, uint256 balance) = abi.decode(log.data, (uint256, uint256));
            collateral[account][token] += amount;
            assertEq(collateral[account][token], balance);
        } else if (kind == CollateralWithdrawn.selector) {
            (, uint256 amount, uint256 balance) = abi.decode(log.data, (address, uint256, uint256));
            collateral[account][token] -= amount;
            assertEq(collateral[account][token], balance);
        } else if (kind == LiquiditySupplied.selector || kind == LiquidityRedeemed.selector) {
            (, uint256 scaled, uint256 balance) = abi.decode(log.data, (uint256, uint256, uint256));
            if (kind == LiquiditySupplied.selector) shares[account][token] += scaled;
            else shares[account][token] -= scaled;
            assertEq(shares[account][token], balance);
        } else if (kind == Borrowed.selector || kind == Repaid.selector) {
            (,, uint256 scaled, uint256 balance) = abi.decode(log.data, (address, uint256, uint256, uint256));
            if (kind == Borrowed.selector) debt[account][token] += scaled;
            else debt[account][token] -= scaled;
            assertEq(debt[account][token], balance);
        } else if (kind == Liquidated.selector) {
            (,, uint256 scaled, uint256 seized) = abi.decode(log.data, (address, uint256, uint256, uint256));
            debt[account][token] -= scaled;
            collateral[account][address(uint160(uint256(log.topics[3])))] -= seized;
        } else {
            foldRegister(log, kind, account, token);
        }
    }

    function foldRegister(Vm.Log memory log, bytes32 kind, address first, address token) private {
        if (kind == BadDebtWrittenOff.selector) {
            (, uint256 scaled) = abi.decode(log.data, (uint256, uint256));
            debt[first][token] -= scaled;
        } else if (kind == IndexUpdated.selector) {
            (uint256 supply_, uint256 borrow_, uint256 rate, uint256 timestamp) =
                abi.decode(log.data, (uint256, uint256, uint256, uint256));
            indexes[first] = Index(supply_, borrow_, rate, timestamp);
        } else if (kind == CreditLineSet.selector) {
            (uint256 oldLimit, uint256 newLimit) = abi.decode(log.data, (uint256, uint256));
            assertEq(lines[first], oldLimit);
            lines[first] = newLimit;
        }
    }

    function compare() private view {
        for (uint256 k = 0; k < 4; ++k) {
            address token = handler.tokens(k);
            Index memory index = indexes[token];
            uint256 borrowIndex = index.borrow * (RAY + index.rate * (block.timestamp - index.timestamp)) / RAY;
            assertEq(index.rate, vault.reserveOf(token).borrowRatePerSecond, "rate");
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
}
