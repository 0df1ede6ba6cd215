// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BridgePeers, Peer} from "../../src/bridge/BridgePeers.sol";
import {BridgeFixture} from "./BridgeFixture.sol";

/// @notice Trust is given in public and after a delay, and taken at once. Each event tells old and new.
contract PeersTest is BridgeFixture {
    uint64 private constant THIRD = 10;
    Peer private nobody;
    Peer private optimism = Peer("optimism", makeAddr("adapter on optimism"), GAS_LIMIT);

    function setUp() public override {
        super.setUp();
        vm.startPrank(registrar);
    }

    function test_a_peer_is_trusted_after_its_delay_and_not_before() public {
        uint64 acceptableAt = uint64(block.timestamp) + PEER_DELAY;
        vm.expectEmit(address(home.axelar));
        emit BridgePeers.PeerProposed(THIRD, nobody, optimism, acceptableAt, home.axelar.seq() + 1);
        propose(THIRD, optimism);
        vm.warp(acceptableAt - 1);
        vm.expectRevert(abi.encodeWithSelector(BridgePeers.TooEarly.selector, acceptableAt));
        home.axelar.acceptPeer(THIRD);
        vm.expectRevert(abi.encodeWithSelector(BridgePeers.NoPeer.selector, THIRD));
        home.axelar.peerOf(THIRD);
        assertEq(home.axelar.chainOf("optimism"), 0);
        vm.warp(acceptableAt);
        vm.expectEmit(address(home.axelar));
        emit BridgePeers.PeerChanged(THIRD, nobody, optimism, home.axelar.seq() + 1);
        home.axelar.acceptPeer(THIRD);
        assertEq(abi.encode(home.axelar.peerOf(THIRD)), abi.encode(optimism));
        assertEq(home.axelar.chainOf("optimism"), THIRD);
        expectNoProposal();
        home.axelar.acceptPeer(THIRD);
    }

    function test_the_old_peer_is_trusted_until_the_new_one_is_accepted() public {
        Peer memory old = home.axelar.peerOf(away.id);
        Peer memory renamed = Peer("arbitrum-2", makeAddr("second adapter"), 2 * GAS_LIMIT);
        vm.expectEmit(address(home.axelar));
        emit BridgePeers.PeerProposed(
            away.id, old, renamed, uint64(block.timestamp) + PEER_DELAY, home.axelar.seq() + 1
        );
        propose(away.id, renamed);
        assertEq(home.axelar.chainOf("arbitrum"), away.id);
        skip(PEER_DELAY);
        vm.expectEmit(address(home.axelar));
        emit BridgePeers.PeerChanged(away.id, old, renamed, home.axelar.seq() + 1);
        home.axelar.acceptPeer(away.id);
        assertEq(home.axelar.chainOf("arbitrum"), 0);
        assertEq(home.axelar.chainOf("arbitrum-2"), away.id);
    }

    function test_a_second_proposal_waits_anew() public {
        propose(THIRD, optimism);
        skip(PEER_DELAY);
        propose(THIRD, optimism);
        vm.expectRevert(abi.encodeWithSelector(BridgePeers.TooEarly.selector, block.timestamp + PEER_DELAY));
        home.axelar.acceptPeer(THIRD);
    }

    function test_a_cancelled_proposal_is_never_accepted() public {
        propose(THIRD, optimism);
        vm.expectEmit(address(home.axelar));
        emit BridgePeers.PeerProposalCancelled(THIRD, optimism, home.axelar.seq() + 1);
        home.axelar.cancelPeer(THIRD);
        skip(PEER_DELAY);
        expectNoProposal();
        home.axelar.acceptPeer(THIRD);
        expectNoProposal();
        home.axelar.cancelPeer(THIRD);
    }

    function test_a_removed_peer_is_not_believed_any_more() public {
        Peer memory old = home.axelar.peerOf(away.id);
        vm.expectEmit(address(home.axelar));
        emit BridgePeers.PeerChanged(away.id, old, nobody, home.axelar.seq() + 1);
        home.axelar.removePeer(away.id);
        vm.stopPrank();
        bytes memory payload = abi.encode(envelopeOf(away, home, 1));
        string memory sender = text(address(away.axelar));
        Delivery memory delivery = readyAxelar(home, "arbitrum", sender, payload);
        (bool ok, bytes memory answer) = delivery.target.call(delivery.data);
        assertFalse(ok);
        assertEq(
            answer, abi.encodeWithSelector(BridgePeers.UnknownPeer.selector, bytes("arbitrum"), bytes(sender))
        );
        vm.expectRevert(abi.encodeWithSelector(BridgePeers.NoPeer.selector, away.id));
        home.app.send(outbound(AXELAR, away), alice);
    }

    function test_no_two_chains_have_one_network() public {
        bytes memory taken = abi.encodeWithSelector(BridgePeers.NetworkTaken.selector, bytes("arbitrum"), away.id);
        vm.expectRevert(taken);
        home.axelar.proposePeer(THIRD, "arbitrum", alice, GAS_LIMIT);
        propose(THIRD, optimism);
        propose(THIRD + 1, optimism);
        skip(PEER_DELAY);
        home.axelar.acceptPeer(THIRD);
        vm.expectRevert(abi.encodeWithSelector(BridgePeers.NetworkTaken.selector, optimism.network, THIRD));
        home.axelar.acceptPeer(THIRD + 1);
        home.axelar.removePeer(THIRD);
        home.axelar.acceptPeer(THIRD + 1);
        assertEq(home.axelar.chainOf("optimism"), THIRD + 1);
    }

    function test_the_gas_limit_changes_at_once_and_the_fee_with_it() public {
        vm.expectEmit(address(home.axelar));
        emit BridgePeers.GasLimitChanged(away.id, GAS_LIMIT, 2 * GAS_LIMIT, home.axelar.seq() + 1);
        home.axelar.setGasLimit(away.id, 2 * GAS_LIMIT);
        assertEq(home.app.quote(outbound(AXELAR, away)), 2 * AXELAR_FEE);
        vm.expectRevert(abi.encodeWithSelector(BridgePeers.InvalidPeer.selector, away.id));
        home.axelar.setGasLimit(away.id, 0);
    }

    function test_a_peer_that_cannot_be_is_refused() public {
        assertInvalid(0, optimism);
        assertInvalid(home.id, optimism);
        assertInvalid(THIRD, Peer("", alice, GAS_LIMIT));
        assertInvalid(THIRD, Peer("optimism", address(0), GAS_LIMIT));
        assertInvalid(THIRD, Peer("optimism", alice, 0));
        vm.expectRevert(abi.encodeWithSelector(BridgePeers.InvalidPeer.selector, THIRD));
        home.ccip.proposePeer(THIRD, 0, alice, GAS_LIMIT);
    }

    function propose(uint64 chainId, Peer memory peer) private {
        home.axelar.proposePeer(chainId, string(peer.network), peer.adapter, peer.gasLimit);
    }

    function assertInvalid(uint64 chainId, Peer memory peer) private {
        vm.expectRevert(abi.encodeWithSelector(BridgePeers.InvalidPeer.selector, chainId));
        propose(chainId, peer);
    }

    function expectNoProposal() private {
        vm.expectRevert(abi.encodeWithSelector(BridgePeers.NoProposal.selector, THIRD));
    }
}
