// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAxelarExecutable} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/interfaces/IAxelarExecutable.sol";
import {CCIPReceiver} from "@chainlink/contracts-ccip/contracts/applications/CCIPReceiver.sol";
import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {MockCCIPRouter} from "@chainlink/local/src/vendor/chainlink-ccip/test/mocks/MockRouter.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {BridgeAdapter} from "../../src/bridge/BridgeAdapter.sol";
import {BridgePeers} from "../../src/bridge/BridgePeers.sol";
import {BridgeRegistry} from "../../src/bridge/BridgeRegistry.sol";
import {BridgeFixture} from "./BridgeFixture.sol";

/// @notice Flaws that comparable bridges fell to, each as the attack that would succeed against them: L1 senders that
/// nobody checks, L2 registries open to all, L3 packed receivers, L9 ids that collide, L14 pauses that stop nothing.
contract BridgeRegressionsTest is BridgeFixture {
    uint64 private constant THIRD = 10;
    uint64 private constant THIRD_SELECTOR = 3734403246176062136;
    /// @dev What CCIP's router keeps of a receiver's revert data.
    uint256 private constant CCIP_REASON = 132;

    address private thief = makeAddr("thief");
    bytes32 private registrarRole;
    bytes32 private guardianRole;

    /// A third chain, whose peers the thief has taken over: trusted, but for that chain only.
    function setUp() public override {
        super.setUp();
        (registrarRole, guardianRole) = (home.router.REGISTRAR_ROLE(), home.router.GUARDIAN_ROLE());
        vm.startPrank(registrar);
        proposeThird(home);
        proposeThird(away);
        skip(PEER_DELAY);
        acceptThird(home);
        acceptThird(away);
        vm.stopPrank();
    }

    // -- L1: whom a bridge believes -----------------------------------------------------------------------------------

    function test_L1_axelar_classic_believes_its_peer_alone() public {
        forgeOverAxelar(away, home);
    }

    function test_L1_axelar_amplifier_believes_its_peer_alone() public {
        forgeOverAxelar(home, away);
    }

    function test_L1_axelar_tells_the_peer_in_any_case_of_letters() public {
        string memory peer = text(address(home.axelar));
        string[3] memory words = [peer, Strings.toChecksumHexString(address(home.axelar)), upper(peer)];
        for (uint256 i = 0; i < words.length; ++i) {
            bytes memory payload = send(home, away, AXELAR);
            run(readyAxelar(away, home.name, words[i], payload));
            assertEq(away.app.applied(keccak256(payload)), 1, words[i]);
        }
    }

    function test_L1_ccip_believes_its_peer_alone() public {
        forgeOverCcip(home, away);
        forgeOverCcip(away, home);
    }

    /// The bridges' own contracts stand before the adapters, the adapters before the router.
    function test_L1_nobody_stands_in_for_a_bridge() public {
        bytes memory payload = send(home, away, AXELAR);
        on(away);
        vm.startPrank(thief);
        vm.expectRevert(abi.encodeWithSelector(BridgeRegistry.NotABridge.selector, thief));
        away.router.receivePayload(home.id, payload);
        string memory peer = text(address(home.axelar));
        vm.expectRevert(IAxelarExecutable.NotApprovedByGateway.selector);
        away.axelar.execute("forged", home.name, peer, payload);
        Client.Any2EVMMessage memory message;
        vm.expectRevert(abi.encodeWithSelector(CCIPReceiver.InvalidRouter.selector, thief));
        away.ccip.ccipReceive(message);
        vm.stopPrank();
        assertEq(away.app.calls(), 0);
    }

    function forgeOverAxelar(Side storage from, Side storage to) private {
        bytes memory payload = send(from, to, AXELAR);
        string memory peer = text(address(from.axelar));
        string[6] memory senders = [
            text(thief),
            Strings.toChecksumHexString(thief),
            text(address(from.ccip)),
            string.concat(peer, "00"),
            string.concat(" ", peer),
            ""
        ];
        for (uint256 i = 0; i < senders.length; ++i) assertForgedAxelar(to, from.name, senders[i], payload);
        string[5] memory networks = [to.name, "optimism", upper(from.name), string.concat(from.name, "2"), ""];
        for (uint256 i = 0; i < networks.length; ++i) assertForgedAxelar(to, networks[i], peer, payload);
        run(readyAxelar(to, from.name, peer, payload));
        assertEq(to.app.applied(keccak256(payload)), 1, "the peer itself was not believed");
    }

    function assertForgedAxelar(Side storage to, string memory name, string memory sender, bytes memory payload)
        private
    {
        Delivery memory delivery = readyAxelar(to, name, sender, payload);
        (bool ok, bytes memory answer) = delivery.target.call(delivery.data);
        assertFalse(ok, string.concat(name, " ", sender));
        assertEq(answer, abi.encodeWithSelector(BridgePeers.UnknownPeer.selector, bytes(name), bytes(sender)));
        assertUntouched(to, payload);
    }

    function forgeOverCcip(Side storage from, Side storage to) private {
        bytes memory payload = send(from, to, CCIP);
        bytes memory peer = abi.encode(from.ccip);
        bytes[6] memory senders = [
            abi.encode(thief),
            abi.encode(from.axelar),
            abi.encodePacked(from.ccip),
            bytes.concat(peer, hex"00"),
            abi.encode(uint256(uint160(address(from.ccip))) | 1 << 160),
            bytes("")
        ];
        for (uint256 i = 0; i < senders.length; ++i) assertForgedCcip(to, from.selector, senders[i], payload);
        uint64[4] memory selectors = [to.selector, THIRD_SELECTOR, from.selector + 1, 0];
        for (uint256 i = 0; i < selectors.length; ++i) assertForgedCcip(to, selectors[i], peer, payload);
        run(readyCcip(to, from.selector, peer, payload));
        assertEq(to.app.applied(keccak256(payload)), 1, "the peer itself was not believed");
    }

    function assertForgedCcip(Side storage to, uint64 selector, bytes memory sender, bytes memory payload) private {
        bytes memory answer = run(readyCcip(to, selector, sender, payload));
        (bool ok, bytes memory reason,) = abi.decode(answer, (bool, bytes, uint256));
        assertFalse(ok);
        bytes memory expected =
            abi.encodeWithSelector(BridgePeers.UnknownPeer.selector, abi.encode(selector), sender);
        assembly ("memory-safe") {
            mstore(expected, CCIP_REASON)
        }
        assertEq(reason, expected);
        assertUntouched(to, payload);
    }

    function assertUntouched(Side storage to, bytes memory payload) private view {
        assertEq(to.app.applied(keccak256(payload)), 0);
        assertFalse(to.router.processed(keccak256(payload)));
    }

    // -- L2: who changes what a bridge believes -----------------------------------------------------------------------

    function test_L2_nobody_but_the_registrar_changes_the_routers_registries() public {
        bytes[4] memory calls = [
            abi.encodeCall(home.router.setBridge, (AXELAR, address(home.app))),
            abi.encodeCall(home.router.setApp, (address(home.app), away.id, thief)),
            abi.encodeCall(home.router.discard, ("id")),
            abi.encodeCall(home.router.unpause, (AXELAR, 3))
        ];
        for (uint256 i = 0; i < calls.length; ++i) assertRegistrarsAlone(address(home.router), calls[i]);
    }

    function test_L2_nobody_but_the_registrar_changes_peers() public {
        assertRegistrarsAlone(
            address(home.axelar), abi.encodeCall(home.axelar.proposePeer, (7, "avalanche", thief, GAS_LIMIT))
        );
        assertRegistrarsAlone(
            address(home.ccip), abi.encodeCall(home.ccip.proposePeer, (7, 6433500567565415381, thief, GAS_LIMIT))
        );
        bytes[4] memory calls = [
            abi.encodeCall(BridgePeers.acceptPeer, (away.id)),
            abi.encodeCall(BridgePeers.cancelPeer, (away.id)),
            abi.encodeCall(BridgePeers.removePeer, (away.id)),
            abi.encodeCall(BridgePeers.setGasLimit, (away.id, 1))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            assertRegistrarsAlone(address(home.axelar), calls[i]);
            assertRegistrarsAlone(address(home.ccip), calls[i]);
        }
    }

    function test_L2_the_guardian_pauses_and_nobody_else_does() public {
        bytes memory data = abi.encodeCall(home.router.pause, (AXELAR, 3));
        assertUnauthorized(thief, address(home.router), data, guardianRole);
        assertUnauthorized(admin, address(home.router), data, guardianRole);
        assertUnauthorized(registrar, address(home.router), data, guardianRole);
        vm.prank(guardian);
        home.router.pause(AXELAR, 3);
        assertEq(home.router.pauseFlagsOf(AXELAR), 3);
    }

    /// Else anyone could send in an application's name, from the peer that the other chain believes.
    function test_L2_an_adapter_carries_for_its_router_alone() public {
        bytes memory payload = abi.encode(envelopeOf(home, away, 1));
        vm.deal(thief, 1 ether);
        vm.startPrank(thief);
        vm.expectRevert(abi.encodeWithSelector(BridgeAdapter.NotRouter.selector, thief));
        home.axelar.send{value: AXELAR_FEE}(away.id, payload, thief);
        vm.expectRevert(abi.encodeWithSelector(BridgeAdapter.NotRouter.selector, thief));
        home.ccip.send{value: CCIP_FEE}(away.id, payload, thief);
        vm.stopPrank();
    }

    function assertRegistrarsAlone(address target, bytes memory data) private {
        assertUnauthorized(thief, target, data, registrarRole);
        assertUnauthorized(admin, target, data, registrarRole);
        assertUnauthorized(guardian, target, data, registrarRole);
    }

    function assertUnauthorized(address caller, address target, bytes memory data, bytes32 role) private {
        vm.prank(caller);
        (bool ok, bytes memory answer) = target.call(data);
        assertFalse(ok);
        assertEq(
            answer, abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, caller, role)
        );
    }

    // -- L3, L9, L14 --------------------------------------------------------------------------------------------------

    /// The vendor's router takes receivers of one word only, and what the adapter sends passes it.
    function test_L3_ccip_takes_the_receiver() public {
        Client.EVM2AnyMessage memory message;
        message.receiver = abi.encodePacked(away.ccip);
        vm.deal(address(this), CCIP_FEE);
        vm.expectRevert(abi.encodeWithSelector(MockCCIPRouter.InvalidAddress.selector, message.receiver));
        home.ccipRouter.ccipSend{value: CCIP_FEE}(away.selector, message);
        send(home, away, CCIP);
    }

    function test_L9_two_equal_sends_in_one_block_are_two_messages() public {
        bytes memory first = send(home, away, AXELAR);
        bytes memory second = send(home, away, AXELAR);
        bytes memory third = send(home, away, CCIP);
        bytes memory back = send(away, home, AXELAR);
        bytes32[4] memory ids = [keccak256(first), keccak256(second), keccak256(third), keccak256(back)];
        for (uint256 i = 0; i < ids.length; ++i) {
            for (uint256 j = 0; j < i; ++j) assertNotEq(ids[i], ids[j]);
        }
        deliver(home, away, AXELAR, second);
        deliver(home, away, AXELAR, first);
        deliver(home, away, CCIP, third);
        for (uint256 i = 0; i < 3; ++i) assertEq(away.app.applied(ids[i]), 1);
    }

    function test_L14_nothing_runs_during_a_pause_and_nothing_is_lost() public {
        pausedThenApplied(AXELAR);
        pausedThenApplied(CCIP);
    }

    function pausedThenApplied(bytes32 bridge) private {
        bytes memory payload = send(home, away, bridge);
        uint256 calls = away.app.calls();
        on(away);
        vm.prank(guardian);
        away.router.pause(bridge, 2);
        deliver(home, away, bridge, payload);
        vm.expectRevert(abi.encodeWithSelector(BridgeRegistry.BridgePaused.selector, bridge, 2));
        away.router.retry(payload);
        assertEq(away.app.calls(), calls);
        vm.prank(registrar);
        away.router.unpause(bridge, 2);
        assertTrue(away.router.retry(payload));
        assertEq(away.app.applied(keccak256(payload)), 1);
    }

    // -- Parts --------------------------------------------------------------------------------------------------------

    function proposeThird(Side storage side) private {
        on(side);
        side.axelar.proposePeer(THIRD, "optimism", thief, GAS_LIMIT);
        side.ccip.proposePeer(THIRD, THIRD_SELECTOR, thief, GAS_LIMIT);
    }

    function acceptThird(Side storage side) private {
        side.axelar.acceptPeer(THIRD);
        side.ccip.acceptPeer(THIRD);
    }

    /// @dev As some relayers write addresses: the digits in capitals, the prefix as it is.
    function upper(string memory word) private pure returns (string memory) {
        bytes memory letters = bytes(word);
        bool isAddress = letters.length == 42;
        for (uint256 i = isAddress ? 2 : 0; i < letters.length; ++i) {
            if (letters[i] >= "a" && letters[i] <= "z") letters[i] = bytes1(uint8(letters[i]) - 32);
        }
        return string(letters);
    }
}
