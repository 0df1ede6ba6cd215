// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Test, Vm} from "forge-std/Test.sol";
import {ICreditEvents} from "../../src/credit/ICreditEvents.sol";
import {CreditRefs, Grant, Lock} from "../../src/credit/CreditTypes.sol";
import {Market} from "./CreditFixture.sol";
import {CreditHandler} from "./CreditHandler.sol";

/// @notice The events are enough: a fold over the logs alone gives every lock, grant, lane and credit line.
contract CreditEventsTest is Test, ICreditEvents {
    CreditHandler private handler;

    mapping(bytes32 ref => Lock) private locks;
    mapping(bytes32 ref => Grant) private grants;
    mapping(address emitter => uint64) private seqs;
    mapping(address emitter => uint256) private lanes;
    mapping(address account => uint256) private lines;

    function setUp() public {
        vm.recordLogs();
        handler = new CreditHandler();
        handler.setUp();
    }

    /// forge-config: default.fuzz.runs = 32
    function testFuzz_logs_alone_rebuild_locks_and_grants(uint256 seed) public {
        for (uint256 i = 0; i < 300; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            act(seed % 15, uint128(seed >> 8), seed >> 16, seed >> 24);
        }
        (Market memory first, Market memory second) = handler.markets();
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter == address(first.remote) || logs[i].emitter == address(second.remote)) fold(logs[i]);
        }
        compare(first, second);
        compare(second, first);
    }

    function act(uint256 kind, uint128 a, uint256 b, uint256 c) private {
        if (kind <= 1) handler.lockCollateral(a, b, c, b ^ c);
        else if (kind <= 4) handler.deliver(b, c);
        else if (kind <= 6) handler.borrow(a, b);
        else if (kind == 7) handler.release(a, b, c);
        else if (kind == 8) handler.callIn(b, c);
        else if (kind == 9) handler.seize(b, c);
        else if (kind == 10) handler.endTerm(b);
        else if (kind == 11) handler.callCredit(b, c);
        else if (kind == 12) handler.setLane(b, c);
        else if (kind == 13) handler.movePrice(b, c);
        else handler.pass(b);
    }

    /// @dev Every event ends with its number.
    function fold(Vm.Log memory log) private {
        bytes32 kind = log.topics[0];
        if (!isCredit(kind)) return; // of roles and administration
        bytes memory data = log.data;
        uint64 seq;
        assembly ("memory-safe") {
            seq := mload(add(data, mload(data)))
        }
        assertEq(seq, ++seqs[log.emitter], "numbers without gaps");
        if (log.topics.length == 4) foldCredit(log, kind, address(uint160(uint256(log.topics[1]))), log.topics[2]);
        else if (kind == TermEnded.selector) {
            (uint64 termEnd,) = abi.decode(data, (uint64, uint64));
            grants[log.topics[1]].termEnd = termEnd;
        }
    }

    function foldCredit(Vm.Log memory log, bytes32 kind, address account, bytes32 ref) private {
        if (kind == CollateralLocked.selector) {
            (address token, uint256 collateral, uint256 credit, uint64 dst, uint64 deadline,) =
                abi.decode(log.data, (address, uint256, uint256, uint64, uint64, uint64));
            locks[ref] = Lock(account, dst, token, deadline, collateral, credit);
        } else if (kind == CollateralReleased.selector) {
            (, uint256 credit, uint256 collateral, uint256 creditLeft, uint256 left,) =
                abi.decode(log.data, (address, uint256, uint256, uint256, uint256, uint64));
            reduce(locks[ref], credit, collateral, creditLeft, left);
        } else if (kind == CollateralSeized.selector) {
            (,, uint256 credit, uint256 collateral, uint256 creditLeft, uint256 left,) =
                abi.decode(log.data, (address, address, uint256, uint256, uint256, uint256, uint64));
            reduce(locks[ref], credit, collateral, creditLeft, left);
        } else if (kind == CreditGranted.selector) {
            (uint256 amount, uint64 termEnd, uint256 line, uint256 granted,,) =
                abi.decode(log.data, (uint256, uint64, uint256, uint256, uint256, uint64));
            (grants[ref].account, grants[ref].termEnd, grants[ref].amount) = (account, termEnd, amount);
            (lines[account], lanes[log.emitter]) = (line, granted);
        } else if (kind == GrantLate.selector) {
            (uint256 amount, uint64 termEnd,) = abi.decode(log.data, (uint256, uint64, uint64));
            (grants[ref].account, grants[ref].termEnd, grants[ref].amount) = (account, termEnd, amount);
        } else if (kind == CreditReleased.selector || kind == CreditSeized.selector) {
            (uint256 amount, uint256 left, uint256 line, uint256 granted,) =
                abi.decode(log.data, (uint256, uint256, uint256, uint256, uint64));
            grants[ref].amount -= amount;
            assertEq(grants[ref].amount, left, "grant left");
            (lines[account], lanes[log.emitter]) = (line, granted);
        }
    }

    function reduce(Lock storage lock, uint256 credit, uint256 collateral, uint256 creditLeft, uint256 left) private {
        lock.credit -= credit;
        lock.collateral -= collateral;
        assertEq(lock.credit, creditLeft, "credit left");
        assertEq(lock.collateral, left, "collateral left");
    }

    function isCredit(bytes32 kind) private pure returns (bool) {
        return kind == CollateralLocked.selector || kind == CreditCalled.selector
            || kind == CollateralReleased.selector || kind == CollateralSeized.selector
            || kind == CreditGranted.selector || kind == GrantLate.selector || kind == TermEnded.selector
            || kind == CreditReleased.selector || kind == CreditSeized.selector || kind == LaneChanged.selector
            || kind == TreasuryChanged.selector;
    }

    function compare(Market memory here, Market memory there) private view {
        assertEq(seqs[address(here.remote)], here.remote.seq(), "last number");
        assertEq(lanes[address(here.remote)], here.remote.laneOf(there.id).granted, "lane");
        for (uint256 i = 0; i < handler.refCount(); ++i) {
            bytes32 ref = handler.refs(i);
            if (CreditRefs.chainOf(ref) != here.id) continue;
            assertEq(abi.encode(locks[ref]), abi.encode(here.remote.lockOf(ref)), "lock");
            Grant memory grant = there.remote.grantOf(ref);
            assertEq(grants[ref].account, grant.account, "grantee");
            assertEq(grants[ref].termEnd, grant.termEnd, "term");
            assertEq(grants[ref].amount, grant.amount, "granted");
        }
        for (uint256 i = 0; i < handler.actorCount(); ++i) {
            if ((i % 2 == 0) != (here.id < there.id)) continue;
            assertEq(lines[handler.actors(i)], there.vault.creditLineOf(handler.actors(i)), "line");
        }
    }
}
