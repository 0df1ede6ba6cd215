// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MockGateway} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/test/mocks/MockGateway.sol";
import {Message} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/types/AmplifierGatewayTypes.sol";
import {GasInfo} from "@axelar-network/axelar-gmp-sdk-solidity/contracts/types/GasEstimationTypes.sol";
import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {MockCCIPRouter} from "@chainlink/local/src/vendor/chainlink-ccip/test/mocks/MockRouter.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {Test} from "forge-std/Test.sol";
import {AxelarAdapter} from "../../src/bridge/AxelarAdapter.sol";
import {BridgeRouter} from "../../src/bridge/BridgeRouter.sol";
import {CcipAdapter} from "../../src/bridge/CcipAdapter.sol";
import {Envelope, Envelopes} from "../../src/bridge/Envelope.sol";
import {IBridgeRouterEvents, Outbound} from "../../src/bridge/IBridgeRouter.sol";
import {EstimatingGasService, OpenAmplifierGateway} from "./AxelarParts.sol";
import {RecordingApp} from "./RecordingApp.sol";

/// @notice Two chains in one EVM: "home" behind Axelar's classic gateway, "away" behind its amplifier gateway, both
/// behind CCIP, each with a router, both adapters and one application. `on` moves to a chain.
abstract contract BridgeFixture is Test, IBridgeRouterEvents {
    struct Side {
        uint64 id;
        string name;
        uint64 selector;
        BridgeRouter router;
        AxelarAdapter axelar;
        CcipAdapter ccip;
        address gateway;
        EstimatingGasService gasService;
        MockCCIPRouter ccipRouter;
        RecordingApp app;
    }

    Side internal home;
    Side internal away;

    address internal admin = makeAddr("admin");
    address internal registrar = makeAddr("registrar");
    address internal guardian = makeAddr("guardian");
    address internal alice = makeAddr("alice");

    bytes32 internal constant AXELAR = "axelar";
    bytes32 internal constant CCIP = "ccip";
    uint32 internal constant PEER_DELAY = 2 days;
    uint64 internal constant GAS_LIMIT = 400_000;
    uint128 internal constant GAS_PRICE = 3 gwei;
    uint256 internal constant AXELAR_FEE = uint256(GAS_LIMIT) * GAS_PRICE;
    uint256 internal constant CCIP_FEE = 0.002 ether;

    uint256 private _deliveries;

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        build(home, 1, "Ethereum", 5009297550715157269, address(new MockGateway()));
        build(away, 42161, "arbitrum", 4949039107694359620, address(new OpenAmplifierGateway()));
        propose(home, away);
        propose(away, home);
        skip(PEER_DELAY);
        accept(home, away);
        accept(away, home);
        on(home);
    }

    // -- Building -----------------------------------------------------------------------------------------------------

    function build(Side storage c, uint64 id, string memory name, uint64 selector, address gateway) private {
        vm.chainId(id);
        (c.id, c.name, c.selector, c.gateway) = (id, name, selector, gateway);
        c.gasService = new EstimatingGasService();
        c.ccipRouter = new MockCCIPRouter();
        c.ccipRouter.setFee(CCIP_FEE);
        c.router = new BridgeRouter(admin);
        c.axelar = new AxelarAdapter(address(c.router), gateway, address(c.gasService), PEER_DELAY);
        c.ccip = new CcipAdapter(address(c.router), address(c.ccipRouter), PEER_DELAY);
        c.app = new RecordingApp(c.router);
        vm.startPrank(admin);
        c.router.grantRole(c.router.REGISTRAR_ROLE(), registrar);
        c.router.grantRole(c.router.GUARDIAN_ROLE(), guardian);
        vm.stopPrank();
        vm.startPrank(registrar);
        c.router.setBridge(AXELAR, address(c.axelar));
        c.router.setBridge(CCIP, address(c.ccip));
        vm.stopPrank();
    }

    function propose(Side storage c, Side storage other) private {
        vm.chainId(c.id);
        c.gasService.setGasInfo(other.name, GasInfo(0, 0, 0, GAS_PRICE, 0, 0));
        vm.startPrank(registrar);
        c.axelar.proposePeer(other.id, other.name, address(other.axelar), GAS_LIMIT);
        c.ccip.proposePeer(other.id, other.selector, address(other.ccip), GAS_LIMIT);
        c.router.setApp(address(c.app), other.id, address(other.app));
        vm.stopPrank();
    }

    function accept(Side storage c, Side storage other) private {
        vm.chainId(c.id);
        vm.startPrank(registrar);
        c.axelar.acceptPeer(other.id);
        c.ccip.acceptPeer(other.id);
        vm.stopPrank();
    }

    function on(Side storage c) internal {
        vm.chainId(c.id);
    }

    // -- Sending ------------------------------------------------------------------------------------------------------

    function outbound(bytes32 bridge, Side storage to) internal view returns (Outbound memory) {
        return Outbound({
            bridge: bridge,
            dstChainId: to.id,
            kind: 1,
            account: alice,
            asset: address(0xA55E7),
            amount: 7 ether,
            deadline: uint64(block.timestamp) + 1 hours,
            ref: "order 7"
        });
    }

    function envelopeOf(Side storage from, Side storage to, uint64 nonce) internal view returns (Envelope memory) {
        return Envelope({
            version: 1,
            srcChainId: from.id,
            srcApp: address(from.app),
            dstChainId: to.id,
            dstApp: address(to.app),
            nonce: nonce,
            kind: 1,
            account: alice,
            asset: address(0xA55E7),
            amount: 7 ether,
            deadline: uint64(block.timestamp) + 1 hours,
            ref: "order 7"
        });
    }

    /// @dev Sends on `from` with the exact fee. The code of the other chain is not there: CCIP's router mock would call
    /// it within the sending transaction.
    function send(Side storage from, Side storage to, bytes32 bridge) internal returns (bytes memory payload) {
        on(from);
        bytes memory code = address(to.ccip).code;
        vm.etch(address(to.ccip), "");
        Outbound memory message = outbound(bridge, to);
        uint256 fee = from.app.quote(message);
        vm.deal(alice, fee);
        vm.prank(alice);
        bytes32 id = from.app.send{value: fee}(message, alice);
        vm.etch(address(to.ccip), code);
        payload = abi.encode(envelopeOf(from, to, from.router.nonce()));
        assertEq(id, keccak256(payload), "the id is the hash of the payload");
    }

    // -- Delivering, as the bridges do: each delivery is one that the bridge has not made before ----------------------

    /// @dev A call that a bridge is ready to make.
    struct Delivery {
        address target;
        bytes data;
    }

    function deliver(Side storage from, Side storage to, bytes32 bridge, bytes memory payload) internal {
        run(ready(from, to, bridge, payload));
    }

    function ready(Side storage from, Side storage to, bytes32 bridge, bytes memory payload)
        internal
        returns (Delivery memory)
    {
        if (bridge == AXELAR) return readyAxelar(to, from.name, text(address(from.axelar)), payload);
        return readyCcip(to, from.selector, abi.encode(from.ccip), payload);
    }

    function run(Delivery memory delivery) internal returns (bytes memory answer) {
        bool ok;
        (ok, answer) = delivery.target.call(delivery.data);
        require(ok, "the bridge's call reverted");
    }

    function readyAxelar(Side storage to, string memory name, string memory sender, bytes memory payload)
        internal
        returns (Delivery memory)
    {
        bytes32 commandId = approve(to, name, sender, payload);
        return Delivery(address(to.axelar), abi.encodeCall(to.axelar.execute, (commandId, name, sender, payload)));
    }

    function approve(Side storage to, string memory name, string memory sender, bytes memory payload)
        internal
        returns (bytes32 commandId)
    {
        on(to);
        bytes32 txHash = bytes32(++_deliveries);
        if (to.gateway == home.gateway) {
            commandId = keccak256(abi.encode(txHash));
            bytes memory params = abi.encode(name, sender, address(to.axelar), keccak256(payload), txHash, 0);
            MockGateway(to.gateway).approveContractCall(params, commandId);
        } else {
            string memory messageId = string.concat(Strings.toHexString(uint256(txHash), 32), "-0");
            Message[] memory messages = new Message[](1);
            messages[0] = Message(name, messageId, sender, address(to.axelar), keccak256(payload));
            OpenAmplifierGateway(to.gateway).approveMessages(messages);
            commandId = OpenAmplifierGateway(to.gateway).messageToCommandId(name, messageId);
        }
    }

    function readyCcip(Side storage to, uint64 selector, bytes memory sender, bytes memory payload)
        internal
        returns (Delivery memory)
    {
        on(to);
        Client.Any2EVMMessage memory message = Client.Any2EVMMessage({
            messageId: bytes32(++_deliveries),
            sourceChainSelector: selector,
            sender: sender,
            data: payload,
            destTokenAmounts: new Client.EVMTokenAmount[](0)
        });
        bytes memory data =
            abi.encodeCall(MockCCIPRouter.routeMessage, (message, 5_000, GAS_LIMIT, address(to.ccip)));
        return Delivery(address(to.ccipRouter), data);
    }

    function text(address account) internal pure returns (string memory) {
        return Strings.toHexString(account);
    }
}
