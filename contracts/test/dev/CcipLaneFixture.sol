// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {Test, Vm} from "forge-std/Test.sol";
import {DevAxelarGateway} from "../../src/dev/axelar/DevAxelarGateway.sol";
import {DevCcipRouter} from "../../src/dev/ccip/DevCcipRouter.sol";
import {DevReceiver} from "../../src/dev/DevReceiver.sol";

/// @notice Both ends of one lane in one EVM, the test being the network: a router each, a receiver at the far one.
abstract contract CcipLaneFixture is Test {
    uint64 internal constant HERE = 16015286601757825753;
    uint64 internal constant THERE = 10344971235874465080;
    uint256 internal constant FEE = 0.01 ether;
    uint256 internal constant THRESHOLD = 1 hours;
    bytes internal constant DATA = "twelve words";

    DevCcipRouter internal here;
    DevCcipRouter internal there;
    DevReceiver internal receiver;
    address internal sender = makeAddr("sender");
    address internal anyone = makeAddr("anyone");

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        here = new DevCcipRouter();
        there = new DevCcipRouter();
        receiver = new DevReceiver(address(new DevAxelarGateway()), address(there));
        vm.deal(sender, 1 ether);
    }

    function message(address to, uint256 gasLimit) internal pure returns (Client.EVM2AnyMessage memory) {
        return Client.EVM2AnyMessage({
            receiver: abi.encode(to),
            data: DATA,
            tokenAmounts: new Client.EVMTokenAmount[](0),
            feeToken: address(0),
            extraArgs: Client._argsToBytes(Client.GenericExtraArgsV2(gasLimit, true))
        });
    }

    /// @dev Sends and returns the message id with the one log of the on-ramp.
    function send(Client.EVM2AnyMessage memory sent) internal returns (bytes32 id, Vm.Log memory log) {
        vm.recordLogs();
        vm.prank(sender);
        id = here.ccipSend{value: FEE}(THERE, sent);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 1);
        log = logs[0];
    }

    function countOf(Vm.Log[] memory logs, bytes32 topic) internal pure returns (uint256 count) {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == topic) ++count;
        }
    }
}
