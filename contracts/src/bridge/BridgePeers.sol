// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";

/// @notice Where a bridge finds, and whom it believes on, another chain.
/// @param network The chain's name in the bridge's own words.
/// @param adapter Our adapter there: the only sender that is trusted.
/// @param gasLimit For the execution there.
struct Peer {
    bytes network;
    address adapter;
    uint64 gasLimit;
}

/// @notice The peers of one adapter. A new one is proposed, waits in public for `PEER_DELAY`, and is accepted; trust is
/// withdrawn at once. Who may do so, the router's roles say.
///
/// Invariant: `chainOf(network)` is the one chain whose accepted peer has that network; no other chain can claim it.
abstract contract BridgePeers {
    event PeerProposed(uint64 indexed chainId, Peer oldPeer, Peer newPeer, uint64 acceptableAt, uint64 seq);
    event PeerProposalCancelled(uint64 indexed chainId, Peer proposed, uint64 seq);
    event PeerChanged(uint64 indexed chainId, Peer oldPeer, Peer newPeer, uint64 seq);
    event GasLimitChanged(uint64 indexed chainId, uint64 oldGasLimit, uint64 newGasLimit, uint64 seq);

    error InvalidPeer(uint64 chainId);
    error NoPeer(uint64 chainId);
    error NoProposal(uint64 chainId);
    error NetworkTaken(bytes network, uint64 chainId);
    error TooEarly(uint64 acceptableAt);
    /// @notice A bridge delivered what a stranger sent.
    error UnknownPeer(bytes network, bytes sender);

    bytes32 private constant REGISTRAR_ROLE = keccak256("REGISTRAR_ROLE");

    /// @notice Seconds from a proposal to its acceptance at the earliest.
    uint32 public immutable PEER_DELAY;
    IAccessControl private immutable ROLES;

    struct Proposal {
        Peer peer;
        uint64 acceptableAt;
    }

    mapping(uint64 chainId => Peer) private _peers;
    mapping(uint64 chainId => Proposal) private _proposals;
    mapping(bytes32 networkHash => uint64 chainId) private _chains;
    uint64 private _seq;

    modifier onlyRegistrar() {
        if (!ROLES.hasRole(REGISTRAR_ROLE, msg.sender)) {
            revert IAccessControl.AccessControlUnauthorizedAccount(msg.sender, REGISTRAR_ROLE);
        }
        _;
    }

    constructor(address roles, uint32 peerDelay) {
        ROLES = IAccessControl(roles);
        PEER_DELAY = peerDelay;
    }

    function acceptPeer(uint64 chainId) external onlyRegistrar {
        Proposal memory proposal = proposalOf(chainId);
        if (block.timestamp < proposal.acceptableAt) revert TooEarly(proposal.acceptableAt);
        delete _proposals[chainId];
        _replace(chainId, proposal.peer);
    }

    function cancelPeer(uint64 chainId) external onlyRegistrar {
        Proposal memory proposal = proposalOf(chainId);
        delete _proposals[chainId];
        emit PeerProposalCancelled(chainId, proposal.peer, _nextSeq());
    }

    /// @notice Nothing goes to or comes from the chain any more.
    function removePeer(uint64 chainId) external onlyRegistrar {
        peerOf(chainId);
        // The empty peer is what is meant.
        // slither-disable-next-line uninitialized-local
        Peer memory nobody;
        _replace(chainId, nobody);
    }

    function setGasLimit(uint64 chainId, uint64 gasLimit) external onlyRegistrar {
        if (gasLimit == 0) revert InvalidPeer(chainId);
        emit GasLimitChanged(chainId, peerOf(chainId).gasLimit, gasLimit, _nextSeq());
        _peers[chainId].gasLimit = gasLimit;
    }

    /// @notice Reverts if the chain has none.
    function peerOf(uint64 chainId) public view returns (Peer memory peer) {
        peer = _peers[chainId];
        if (peer.adapter == address(0)) revert NoPeer(chainId);
    }

    /// @notice Reverts if there is none.
    function proposalOf(uint64 chainId) public view returns (Proposal memory proposal) {
        proposal = _proposals[chainId];
        // Zero is the absence of a record, no moment.
        // slither-disable-next-line incorrect-equality
        if (proposal.acceptableAt == 0) revert NoProposal(chainId);
    }

    /// @return Zero if no peer has the network.
    function chainOf(bytes memory network) public view returns (uint64) {
        return _chains[keccak256(network)];
    }

    /// @notice The number of the last event.
    function seq() external view returns (uint64) {
        return _seq;
    }

    function _propose(uint64 chainId, Peer memory peer) internal {
        bool valid = chainId != 0 && chainId != block.chainid && peer.network.length != 0
            && peer.adapter != address(0) && peer.gasLimit != 0;
        if (!valid) revert InvalidPeer(chainId);
        _requireFree(peer.network, chainId);
        uint64 acceptableAt = uint64(block.timestamp) + PEER_DELAY;
        _proposals[chainId] = Proposal({peer: peer, acceptableAt: acceptableAt});
        emit PeerProposed(chainId, _peers[chainId], peer, acceptableAt, _nextSeq());
    }

    function _nextSeq() internal returns (uint64) {
        return ++_seq;
    }

    /// @dev Again at acceptance: another chain's proposal may have taken the network meanwhile.
    function _replace(uint64 chainId, Peer memory peer) private {
        _requireFree(peer.network, chainId);
        Peer memory oldPeer = _peers[chainId];
        delete _chains[keccak256(oldPeer.network)];
        if (peer.adapter != address(0)) _chains[keccak256(peer.network)] = chainId;
        _peers[chainId] = peer;
        emit PeerChanged(chainId, oldPeer, peer, _nextSeq());
    }

    function _requireFree(bytes memory network, uint64 chainId) private view {
        uint64 holder = chainOf(network);
        if (holder != 0 && holder != chainId) revert NetworkTaken(network, holder);
    }
}
