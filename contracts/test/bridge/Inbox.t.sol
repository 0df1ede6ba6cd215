// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BridgeInbox} from "../../src/bridge/BridgeInbox.sol";
import {BridgeRegistry} from "../../src/bridge/BridgeRegistry.sol";
import {Envelope} from "../../src/bridge/Envelope.sol";
import {BridgeFixture} from "./BridgeFixture.sol";
import {RecordingApp} from "./RecordingApp.sol";

/// @notice Where each arriving payload ends: applied, stored for a retry, or refused. None reverts the bridge's call.
contract InboxTest is BridgeFixture {
    // -- Refused ------------------------------------------------------------------------------------------------------

    function test_a_second_delivery_over_the_same_or_another_bridge_is_refused() public {
        bytes memory payload = send(home, away, AXELAR);
        bytes32 id = keccak256(payload);
        deliver(home, away, AXELAR, payload);
        bytes memory reason = abi.encodeWithSelector(BridgeInbox.AlreadyProcessed.selector, id);
        assertRefused(AXELAR, payload, reason);
        assertRefused(CCIP, payload, reason);
        assertEq(away.app.applied(id), 1);
    }

    /// The source chain forgets the sending block, and the same envelope goes out again in another transaction.
    function test_an_envelope_of_both_forks_of_a_reorg_is_applied_once() public {
        uint256 before = vm.snapshotState();
        bytes memory payload = send(home, away, AXELAR);
        vm.revertToState(before);
        assertEq(send(home, away, CCIP), payload);
        deliver(home, away, AXELAR, payload);
        assertRefused(CCIP, payload, abi.encodeWithSelector(BridgeInbox.AlreadyProcessed.selector, keccak256(payload)));
    }

    function test_a_stored_message_is_not_delivered_again() public {
        bytes memory payload = stored(RecordingApp.Mood.Refuses);
        away.app.setMood(RecordingApp.Mood.Takes);
        assertRefused(CCIP, payload, abi.encodeWithSelector(BridgeInbox.AlreadyProcessed.selector, keccak256(payload)));
        assertEq(away.app.applied(keccak256(payload)), 0);
    }

    function test_a_wrong_destination_chain_is_refused() public {
        Envelope memory envelope = envelopeOf(home, away, 1);
        envelope.dstChainId = 10;
        assertRefused(
            AXELAR, abi.encode(envelope), abi.encodeWithSelector(BridgeInbox.WrongDestinationChain.selector, 10)
        );
    }

    /// A fork of the destination chain under a new id must not apply the other's messages.
    function test_the_chain_id_is_read_at_each_delivery() public {
        Delivery memory delivery = ready(home, away, AXELAR, send(home, away, AXELAR));
        vm.chainId(10_001);
        run(delivery);
        assertEq(away.app.calls(), 0);
    }

    function test_a_source_chain_other_than_the_bridge_says_is_refused() public {
        Envelope memory envelope = envelopeOf(home, away, 1);
        envelope.srcChainId = 10;
        assertRefused(
            CCIP, abi.encode(envelope), abi.encodeWithSelector(BridgeInbox.WrongSourceChain.selector, home.id, 10)
        );
    }

    function test_another_version_is_refused() public {
        Envelope memory envelope = envelopeOf(home, away, 1);
        envelope.version = 2;
        assertRefused(
            AXELAR, abi.encode(envelope), abi.encodeWithSelector(BridgeInbox.UnsupportedVersion.selector, 2)
        );
    }

    function test_a_malformed_payload_is_refused() public {
        bytes memory payload = abi.encode(envelopeOf(home, away, 1));
        assertMalformed("");
        assertMalformed("hello");
        assertMalformed(bytes.concat(payload, hex"00"));
        payload[0] = 0x01;
        assertMalformed(payload);
    }

    function testFuzz_any_payload_is_refused_and_never_reverts(bytes memory payload) public {
        assertMalformed(payload);
    }

    // -- Stored, retried ----------------------------------------------------------------------------------------------

    function test_an_application_that_refuses_is_retried_by_anyone() public {
        bytes memory reason = abi.encodeWithSelector(RecordingApp.Unwilling.selector, 42);
        bytes memory payload = assertStored(RecordingApp.Mood.Refuses, reason);
        bytes32 id = keccak256(payload);
        vm.expectEmit(address(away.router));
        emit MessageRetried(id, alice, away.router.seq() + 1, reason);
        vm.prank(alice);
        assertFalse(away.router.retry(payload));
        away.app.setMood(RecordingApp.Mood.Takes);
        vm.expectEmit(address(away.router));
        emit MessageRecovered(id, alice, away.router.seq() + 1);
        vm.prank(alice);
        assertTrue(away.router.retry(payload));
        assertEq(away.app.applied(id), 1);
        vm.expectRevert(abi.encodeWithSelector(BridgeInbox.NotStored.selector, id));
        away.router.retry(payload);
    }

    function test_an_application_out_of_gas_is_stored_within_the_gas_of_the_bridge() public {
        assertStored(RecordingApp.Mood.BurnsGas, new bytes(32));
    }

    function test_a_silent_refusal_is_a_failure_with_a_reason() public {
        assertStored(RecordingApp.Mood.RefusesSilently, new bytes(32));
    }

    /// An event with all of its 200,000 bytes would cost more than the gas set aside.
    function test_a_long_reason_is_cut() public {
        assertStored(RecordingApp.Mood.ReturnsMuch, new bytes(256));
    }

    function test_an_unknown_pair_of_applications_waits_for_its_registration() public {
        bytes memory payload = send(home, away, AXELAR);
        setApp(away, away.app, address(0));
        assertStoredAs(
            payload,
            abi.encodeWithSelector(
                BridgeInbox.UnknownRoute.selector, home.id, address(home.app), address(away.app)
            )
        );
        assertFalse(away.router.retry(payload));
        setApp(away, away.app, address(home.app));
        assertTrue(away.router.retry(payload));
    }

    function test_an_application_hears_its_own_peer_only() public {
        bytes memory payload = send(home, away, AXELAR);
        setApp(away, away.app, alice);
        assertStoredAs(
            payload,
            abi.encodeWithSelector(
                BridgeInbox.UnknownRoute.selector, home.id, address(home.app), address(away.app)
            )
        );
    }

    function test_an_application_without_code_takes_nothing() public {
        bytes memory payload = send(home, away, AXELAR);
        Delivery memory delivery = ready(home, away, AXELAR, payload);
        vm.etch(address(away.app), "");
        vm.expectEmit(address(away.router));
        emit MessageFailed(
            keccak256(payload),
            AXELAR,
            address(away.app),
            away.router.seq() + 1,
            payload,
            abi.encodeWithSelector(BridgeRegistry.NoCode.selector, address(away.app))
        );
        run(delivery);
    }

    function test_a_retry_within_the_retry_finds_nothing_stored() public {
        bytes memory payload = stored(RecordingApp.Mood.Refuses);
        away.app.setMood(RecordingApp.Mood.Retries);
        assertTrue(away.router.retry(payload));
        assertEq(away.app.applied(keccak256(payload)), 1);
    }

    /// Whatever gas an executor gives: the delivery reverts and can be made again, or its end is on record.
    function test_no_amount_of_gas_leaves_a_message_between_the_ends() public {
        bytes memory payload = send(home, away, AXELAR);
        bytes32 id = keccak256(payload);
        uint256[3] memory ends;
        for (uint256 amount = 20_000; amount < 400_000; amount += 2_500) {
            uint256 before = vm.snapshotState();
            Delivery memory delivery = ready(home, away, AXELAR, payload);
            uint64 seq = away.router.seq();
            (bool ok,) = delivery.target.call{gas: amount}(delivery.data);
            bool isStored = away.router.storedFrom(id) != address(0);
            bool isApplied = away.app.applied(id) == 1;
            assertEq(away.router.processed(id), ok);
            assertEq(away.router.seq(), ok ? seq + 1 : seq);
            assertEq(ok, isStored != isApplied);
            ++ends[isApplied ? 2 : isStored ? 1 : 0];
            vm.revertToState(before);
        }
        for (uint256 i = 0; i < 3; ++i) assertGt(ends[i], 0, "an end was never reached");
    }

    // -- Paused -------------------------------------------------------------------------------------------------------

    function test_what_arrives_during_a_pause_is_stored_and_applied_after_it() public {
        bytes memory payload = send(home, away, AXELAR);
        pause(AXELAR, 2);
        bytes memory reason = abi.encodeWithSelector(BridgeRegistry.BridgePaused.selector, AXELAR, 2);
        assertStoredAs(payload, reason);
        assertEq(away.app.calls(), 0);
        vm.expectRevert(reason);
        away.router.retry(payload);
        vm.prank(registrar);
        away.router.unpause(AXELAR, 2);
        assertTrue(away.router.retry(payload));
    }

    function test_a_pause_is_of_one_bridge_and_one_direction() public {
        pause(AXELAR, 2);
        bytes memory payload = send(home, away, CCIP);
        deliver(home, away, CCIP, payload);
        assertEq(away.app.applied(keccak256(payload)), 1);
        send(away, home, AXELAR);
    }

    function test_nothing_of_a_removed_adapter_is_retried() public {
        bytes memory payload = stored(RecordingApp.Mood.Refuses);
        away.app.setMood(RecordingApp.Mood.Takes);
        vm.prank(registrar);
        away.router.setBridge(AXELAR, address(0));
        vm.expectRevert(abi.encodeWithSelector(BridgeRegistry.NotABridge.selector, address(away.axelar)));
        away.router.retry(payload);
        vm.prank(registrar);
        away.router.setBridge(AXELAR, address(away.axelar));
        assertTrue(away.router.retry(payload));
    }

    function test_a_discarded_message_never_comes_back() public {
        bytes memory payload = stored(RecordingApp.Mood.Refuses);
        bytes32 id = keccak256(payload);
        vm.expectEmit(address(away.router));
        emit BridgeInbox.MessageDiscarded(id, registrar, away.router.seq() + 1);
        vm.startPrank(registrar);
        away.router.discard(id);
        vm.expectRevert(abi.encodeWithSelector(BridgeInbox.NotStored.selector, id));
        away.router.discard(id);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(BridgeInbox.NotStored.selector, id));
        away.router.retry(payload);
        assertRefused(CCIP, payload, abi.encodeWithSelector(BridgeInbox.AlreadyProcessed.selector, id));
    }

    // -- Parts --------------------------------------------------------------------------------------------------------

    function pause(bytes32 bridge, uint8 flags) private {
        vm.prank(guardian);
        away.router.pause(bridge, flags);
    }

    function setApp(Side storage side, RecordingApp app, address remote) private {
        vm.prank(registrar);
        side.router.setApp(address(app), home.id, remote);
    }

    function stored(RecordingApp.Mood mood) private returns (bytes memory payload) {
        payload = send(home, away, AXELAR);
        away.app.setMood(mood);
        deliver(home, away, AXELAR, payload);
        assertEq(away.router.storedFrom(keccak256(payload)), address(away.axelar));
    }

    /// @dev Over both bridges.
    function assertStored(RecordingApp.Mood mood, bytes memory reason) private returns (bytes memory payload) {
        away.app.setMood(mood);
        expectStored(CCIP, send(home, away, CCIP), reason);
        payload = send(home, away, AXELAR);
        expectStored(AXELAR, payload, reason);
    }

    function assertStoredAs(bytes memory payload, bytes memory reason) private {
        expectStored(AXELAR, payload, reason);
    }

    function expectStored(bytes32 bridge, bytes memory payload, bytes memory reason) private {
        bytes32 id = keccak256(payload);
        Delivery memory delivery = ready(home, away, bridge, payload);
        vm.expectEmit(address(away.router));
        emit MessageFailed(id, bridge, address(away.app), away.router.seq() + 1, payload, reason);
        (bool ok,) = delivery.target.call{gas: GAS_LIMIT + 100_000}(delivery.data);
        assertTrue(ok);
        assertTrue(away.router.processed(id));
        assertEq(away.router.storedFrom(id), bridge == AXELAR ? address(away.axelar) : address(away.ccip));
        assertEq(away.app.applied(id), 0);
    }

    function assertMalformed(bytes memory payload) private {
        assertRefused(
            AXELAR, payload, abi.encodeWithSelector(BridgeInbox.MalformedPayload.selector, payload.length)
        );
        assertFalse(away.router.processed(keccak256(payload)));
    }

    function assertRefused(bytes32 bridge, bytes memory payload, bytes memory reason) private {
        uint256 calls = away.app.calls();
        Delivery memory delivery = ready(home, away, bridge, payload);
        vm.expectEmit(address(away.router));
        emit MessageRefused(keccak256(payload), bridge, away.router.seq() + 1, home.id, payload, reason);
        run(delivery);
        assertEq(away.app.calls(), calls);
    }
}
