// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {Escrow} from "../../src/Escrow.sol";
import {TestToken} from "../../src/dev/TestToken.sol";

/// @notice A token whose issuer can block holders and take a fee.
contract BlockingToken is TestToken("Blocking", "BLK", 6) {
    mapping(address holder => bool) public blocked;
    uint256 public fee;

    function setBlocked(address holder, bool value) external {
        blocked[holder] = value;
    }

    function setFee(uint256 value) external {
        fee = value;
    }

    function _update(address from, address to, uint256 value) internal override {
        require(!blocked[to], "blocked");
        if (from != address(0) && fee != 0) {
            super._update(from, address(0xdead), fee);
            value -= fee;
        }
        super._update(from, to, value);
    }
}

/// @notice A token that moves nothing, once told so: by an answer of false, by none at all, or by burning all gas.
contract StubbornToken is TestToken("Stubborn", "STB", 6) {
    enum Mode {
        Obey,
        AnswerFalse,
        AnswerTwo,
        BurnGas
    }

    Mode public mode;

    function set(Mode mode_) external {
        mode = mode_;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        if (mode == Mode.BurnGas) while (true) {}
        if (mode == Mode.AnswerFalse) return false;
        if (mode == Mode.AnswerTwo) {
            assembly {
                mstore(0, 2)
                return(0, 32)
            }
        }
        return super.transfer(to, value);
    }
}

/// @notice A token that answers nothing, as some old ones do.
contract SilentToken {
    mapping(address holder => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

contract PermitToken is ERC20, ERC20Permit {
    constructor() ERC20("Permit", "PMT") ERC20Permit("Permit") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @notice A receiver that refuses, burns all gas, answers with a huge blob, calls back, or takes the money.
contract DifficultReceiver {
    enum Mode {
        Refuse,
        BurnGas,
        Blob,
        CallBack,
        Accept
    }

    Mode public mode;
    /// @dev What it calls the escrow with, in mode CallBack.
    bytes public answer;
    bool public calledBack;

    function set(Mode mode_) external {
        mode = mode_;
    }

    function callBackWith(bytes calldata data) external {
        mode = Mode.CallBack;
        answer = data;
    }

    function claim(Escrow escrow, address to) external {
        escrow.claim(to);
    }

    receive() external payable {
        if (mode == Mode.Refuse) revert("no");
        if (mode == Mode.BurnGas) while (true) {}
        if (mode == Mode.CallBack) {
            (bool done, bytes memory data) = msg.sender.call(answer);
            calledBack = done;
            if (!done) {
                assembly {
                    revert(add(data, 32), mload(data))
                }
            }
        }
        if (mode == Mode.Blob) {
            assembly {
                revert(0, 1000000)
            }
        }
    }
}

/// @notice A contract wallet: what it has been told to sign is signed.
contract Wallet is IERC1271 {
    mapping(bytes32 digest => bool) public signed;

    function signDigest(bytes32 digest) external {
        signed[digest] = true;
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return signed[digest] ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}
