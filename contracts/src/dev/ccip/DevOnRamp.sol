// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";

/// @notice What the router needs of an on-ramp.
interface IDevOnRamp {
    function getFee(uint64 destChainSelector, Client.EVM2AnyMessage calldata message) external view returns (uint256);

    function forwardFromRouter(
        uint64 destChainSelector,
        Client.EVM2AnyMessage calldata message,
        uint256 feeTokenAmount,
        address originalSender
    ) external returns (bytes32 messageId);
}

/// @notice What on-ramps of all versions have in common: one lane, a flat native fee, messages without tokens, and the
/// vendor's checks of receiver and extra arguments. A local chain has no wrapped native token: `feeToken` is 0.
abstract contract DevOnRamp is IDevOnRamp {
    error UnsupportedDestinationChain(uint64 selector);
    error MustBeCalledByRouter();
    error UnsupportedToken(address token);
    error NotAFeeToken(address token);
    error InvalidEVMAddress(bytes encodedAddress);
    error InvalidExtraArgsTag();
    error MessageTooLarge(uint256 maxSize, uint256 actualSize);

    uint256 private constant DEFAULT_GAS_LIMIT = 200_000;
    uint256 private constant MAX_DATA = 30_000;
    /// @dev Lower addresses are kept for precompiles.
    uint256 private constant FIRST_ADDRESS = 1_024;

    address public immutable router;
    uint64 public immutable sourceChainSelector;
    uint64 public immutable destChainSelector;
    uint256 public immutable fee;

    uint64 internal _lastSequenceNumber;
    mapping(address sender => uint64) internal _nonces;

    constructor(address router_, uint64 sourceChainSelector_, uint64 destChainSelector_, uint256 fee_) {
        router = router_;
        sourceChainSelector = sourceChainSelector_;
        destChainSelector = destChainSelector_;
        fee = fee_;
    }

    function getFee(uint64 selector, Client.EVM2AnyMessage calldata message) external view returns (uint256) {
        if (selector != destChainSelector) revert UnsupportedDestinationChain(selector);
        if (message.feeToken != address(0)) revert NotAFeeToken(message.feeToken);
        if (message.tokenAmounts.length != 0) revert UnsupportedToken(message.tokenAmounts[0].token);
        if (message.data.length > MAX_DATA) revert MessageTooLarge(MAX_DATA, message.data.length);
        _receiverOf(message);
        _extraArgsOf(message);
        return fee;
    }

    modifier onlyRouter() {
        if (msg.sender != router) revert MustBeCalledByRouter();
        _;
    }

    /// @notice Strictly the 32 bytes of an ABI-encoded address, as on the vendor's chains.
    function _receiverOf(Client.EVM2AnyMessage calldata message) internal pure returns (address) {
        bytes calldata encoded = message.receiver;
        if (encoded.length != 32) revert InvalidEVMAddress(encoded);
        uint256 number = uint256(bytes32(encoded));
        if (number > type(uint160).max || number < FIRST_ADDRESS) revert InvalidEVMAddress(encoded);
        return address(uint160(number));
    }

    /// @notice V1 arguments or none become V2: in order.
    function _extraArgsOf(Client.EVM2AnyMessage calldata message)
        internal
        pure
        returns (Client.GenericExtraArgsV2 memory)
    {
        bytes calldata args = message.extraArgs;
        if (args.length == 0) return Client.GenericExtraArgsV2(DEFAULT_GAS_LIMIT, false);
        bytes4 tag = bytes4(args);
        if (tag == Client.EVM_EXTRA_ARGS_V1_TAG) {
            return Client.GenericExtraArgsV2(abi.decode(args[4:], (Client.EVMExtraArgsV1)).gasLimit, false);
        }
        if (tag != Client.GENERIC_EXTRA_ARGS_V2_TAG) revert InvalidExtraArgsTag();
        return abi.decode(args[4:], (Client.GenericExtraArgsV2));
    }

    /// @notice Out-of-order messages have nonce 0.
    function _nextNonce(address sender, bool outOfOrder) internal returns (uint64) {
        return outOfOrder ? 0 : ++_nonces[sender];
    }
}
