// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "forge-std/Test.sol";
import {Envelope, Envelopes} from "../../src/bridge/Envelope.sol";

contract EnvelopeLawsTest is Test {
    function testFuzz_decoding_inverts_encoding(Envelope memory envelope) public pure {
        bytes memory payload = Envelopes.encode(envelope);
        assertEq(payload.length, Envelopes.SIZE);
        (bool ok, Envelope memory decoded) = Envelopes.tryDecode(payload);
        assertTrue(ok);
        assertEq(keccak256(abi.encode(decoded)), keccak256(abi.encode(envelope)));
    }

    /// Agrees with the compiler's own decoder on which words are in range.
    function testFuzz_twelve_words_decode_only_if_every_field_is_in_range(Envelope memory envelope, uint256 at) public {
        bytes memory payload = Envelopes.encode(envelope);
        payload[at % payload.length] ^= 0x80;
        (bool ok,) = Envelopes.tryDecode(payload);
        (bool strict,) = address(this).call(abi.encodeCall(this.decode, (payload)));
        assertEq(ok, strict);
    }

    function testFuzz_any_other_size_is_malformed(bytes memory payload) public pure {
        vm.assume(payload.length != Envelopes.SIZE);
        (bool ok,) = Envelopes.tryDecode(payload);
        assertFalse(ok);
    }

    function decode(bytes calldata payload) external pure {
        abi.decode(payload, (Envelope));
    }
}
