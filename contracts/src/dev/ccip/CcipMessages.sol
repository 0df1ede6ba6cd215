// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";

/// @notice The vendor's wire structures, field for field: topics and hashes depend on them. Written anew, because the
/// vendor's file of them drags in code under another licence.

enum ExecutionState {
    UNTOUCHED,
    IN_PROGRESS,
    SUCCESS,
    FAILURE
}

/// @dev 1.5, on both sides.
struct EVM2EVMMessage {
    uint64 sourceChainSelector;
    address sender;
    address receiver;
    uint64 sequenceNumber;
    uint256 gasLimit;
    bool strict;
    uint64 nonce;
    address feeToken;
    uint256 feeTokenAmount;
    bytes data;
    Client.EVMTokenAmount[] tokenAmounts;
    bytes[] sourceTokenData;
    bytes32 messageId;
}

/// @dev What 1.5 executes, with the proof that it was committed.
struct ExecutionReport15 {
    EVM2EVMMessage[] messages;
    bytes[][] offchainTokenData;
    bytes32[] proofs;
    uint256 proofFlagBits;
}

/// @dev 0 keeps the message's own limit.
struct GasLimitOverride15 {
    uint256 receiverExecutionGasLimit;
    uint256[] tokenGasOverrides;
}

struct Interval {
    uint64 min;
    uint64 max;
}

struct TokenPriceUpdate {
    address sourceToken;
    uint224 usdPerToken;
}

struct GasPriceUpdate {
    uint64 destChainSelector;
    uint224 usdPerUnitGas;
}

struct PriceUpdates {
    TokenPriceUpdate[] tokenPriceUpdates;
    GasPriceUpdate[] gasPriceUpdates;
}

/// @dev 1.5's commit.
struct CommitReport {
    PriceUpdates priceUpdates;
    Interval interval;
    bytes32 merkleRoot;
}

/// @dev 1.6's commit of one lane. `onRampAddress` is ABI-encoded.
struct MerkleRoot {
    uint64 sourceChainSelector;
    bytes onRampAddress;
    uint64 minSeqNr;
    uint64 maxSeqNr;
    bytes32 merkleRoot;
}

struct RampMessageHeader {
    bytes32 messageId;
    uint64 sourceChainSelector;
    uint64 destChainSelector;
    uint64 sequenceNumber;
    uint64 nonce;
}

struct EVM2AnyTokenTransfer {
    address sourcePoolAddress;
    bytes destTokenAddress;
    bytes extraData;
    uint256 amount;
    bytes destExecData;
}

/// @dev 1.6, as the source emits it.
struct EVM2AnyRampMessage {
    RampMessageHeader header;
    address sender;
    bytes data;
    bytes receiver;
    bytes extraArgs;
    address feeToken;
    uint256 feeTokenAmount;
    uint256 feeValueJuels;
    EVM2AnyTokenTransfer[] tokenAmounts;
}

struct Any2EVMTokenTransfer {
    bytes sourcePoolAddress;
    address destTokenAddress;
    uint32 destGasAmount;
    bytes extraData;
    uint256 amount;
}

/// @dev 1.6, as the destination executes it. `sender` is ABI-encoded.
struct Any2EVMRampMessage {
    RampMessageHeader header;
    bytes sender;
    bytes data;
    address receiver;
    uint256 gasLimit;
    Any2EVMTokenTransfer[] tokenAmounts;
}

/// @dev What 1.6 executes of one source, with the proof that it was committed.
struct ExecutionReport16 {
    uint64 sourceChainSelector;
    Any2EVMRampMessage[] messages;
    bytes[][] offchainTokenData;
    bytes32[] proofs;
    uint256 proofFlagBits;
}

/// @dev 0 keeps the message's own limit.
struct GasLimitOverride16 {
    uint256 receiverExecutionGasLimit;
    uint32[] tokenGasOverrides;
}

/// @dev 2.0: what each verifier and the executor get of the fee.
struct Receipt {
    address issuer;
    uint32 destGasLimit;
    uint32 destBytesOverhead;
    uint256 feeTokenAmount;
    bytes extraArgs;
}
