"""A few accounts that do everything a vault allows, in an order that a seed decides, on a real chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from eth_utils.crypto import keccak

from fusion_daemon.demo.deploy import DESK, USDC_UNIT, Deployment
from fusion_daemon.demo.node import NodeRefused, Sent, call_data
from fusion_daemon.domain.identifiers import NATIVE, Address, hex_of
from fusion_daemon.domain.price import USD_SCALE

ETHER = 10**18
DAY = 86_400
EVERYTHING = 2**256 - 1
ROLES = tuple(keccak(text=name) for name in ("RISK_ROLE", "CREDIT_ROLE", "GUARDIAN_ROLE", "LOCKER_ROLE"))
CONFIGURE = (
    "configureAsset(address,(address,uint32,uint16,uint16,uint16,uint16,uint32,uint32,uint32,uint128,uint128,uint128))"
)
ACTORS = tuple(Address(keccak(text=f"vault actor {number}")[12:]) for number in range(6))
WALKERS, DEBTOR, ABROAD = ACTORS[:4], ACTORS[4], ACTORS[5]
"""The last two act at the end alone: one is liquidated at a loss, one borrows on a credit line that is cut."""


def calldata(signature: str, *arguments: object) -> bytes:
    """Of a function with or without arguments."""
    return call_data(signature, *arguments) if arguments else keccak(text=signature)[:4]


@dataclass
class Market:
    chain: Deployment
    random: Random
    weth_usd: int = 2_000

    @property
    def tokens(self) -> tuple[Address, ...]:
        return (self.chain.weth, self.chain.usdc, NATIVE)

    def open(self) -> None:
        """Everything is collateral and can be borrowed; everyone has money, the lender's is in the vault."""
        node, vault = self.chain.node, self.chain.vault
        node.send(*(Sent(DESK, vault, call_data("grantRole(bytes32,address)", role, DESK)) for role in ROLES))
        for token in self.tokens:
            self.configure(token, minimum=0)
        for actor in ACTORS:
            node.call("anvil_setBalance", hex_of(actor), hex(10**6 * ETHER))
            for token in (self.chain.weth, self.chain.usdc):
                node.send(Sent(DESK, token, call_data("mint(address,uint256)", actor, 10**24)))
                node.send(Sent(actor, token, call_data("approve(address,uint256)", vault, EVERYTHING)))
        for token in (self.chain.weth, NATIVE):
            self.act(ACTORS[0], "supply(address,uint256)", token, 500 * ETHER, value=500 * ETHER)

    def act(self, actor: Address, signature: str, *arguments: object, value: int = 0) -> bool:
        """Whether the vault took it. Native value is sent where the call is about the native currency."""
        sent = value if NATIVE in arguments else 0
        try:
            self.chain.node.send(Sent(actor, self.chain.vault, calldata(signature, *arguments), sent))
        except NodeRefused:
            return False
        return True

    def block(self) -> int:
        return int(str(self.chain.node.call("eth_blockNumber")), 16)

    def step(self) -> None:
        actions: list[Callable[[Address, Address, int], object]] = [
            lambda who, what, size: self.act(who, "supply(address,uint256)", what, size, value=size),
            lambda who, what, size: self.act(who, "redeem(address,uint256,address)", what, size, who),
            *[lambda who, what, size: self.act(who, "depositCollateral(address,uint256)", what, size, value=size)] * 2,
            lambda who, what, size: self.act(who, "withdrawCollateral(address,uint256,address)", what, size, who),
            lambda who, what, size: self.act(who, "borrow(address,uint256,address)", what, size // 2, who),
            lambda who, what, size: self.act(who, "borrow(address,uint256,address)", what, size, who),
            self.repay,
            self.transfer,
            lambda who, what, size: self.credit(who, self.random.choice((0, 5_000, 40_000))),
            lambda who, what, size: self.price(self.weth_usd * self.random.randint(70, 135) // 100),
            lambda who, what, size: self.later(self.random.randint(1, 90 * DAY)),
            lambda who, what, size: self.liquidate(),
            lambda who, what, size: self.act(who, "accrue(address)", what),
            lambda who, what, size: self.govern(who, what),
        ]
        token = self.random.choice(self.tokens)
        unit = USDC_UNIT * 2_000 if token == self.chain.usdc else ETHER
        self.random.choice(actions)(self.random.choice(WALKERS), token, self.random.randint(1, 20 * unit))

    def repay(self, who: Address, what: Address, size: int) -> None:
        self.act(who, "repay(address,uint256,address)", what, size, self.random.choice(WALKERS), value=size)

    def transfer(self, giver: Address, what: Address, size: int) -> None:
        taker = self.random.choice(WALKERS)
        self.act(DESK, "transferCollateral(address,address,uint256,address)", giver, what, size // 10, taker)

    def credit(self, who: Address, usd: int) -> None:
        self.act(DESK, "setCreditLine(address,uint256)", who, usd * USD_SCALE)

    def price(self, usd: int) -> None:
        self.weth_usd = max(100, min(usd, 10_000))
        self.chain.set_weth_price(self.weth_usd * USD_SCALE)

    def later(self, seconds: int) -> None:
        """Time passes and the feeds report again."""
        self.chain.node.call("evm_increaseTime", seconds)
        self.price(self.weth_usd)
        answer = call_data("updateAnswer(int256)", USD_SCALE)
        self.chain.node.send(Sent(DESK, self.chain.usdc_feed, answer))

    def liquidate(self) -> bool:
        """The first pair of debt and collateral that the vault lets be liquidated."""
        call = "liquidate(address,address,address,uint256)"
        pairs = [(who, owed, held) for who in ACTORS for owed in self.tokens for held in self.tokens]
        self.random.shuffle(pairs)
        amount = 10**4 * ETHER
        return any(self.act(ACTORS[0], call, who, owed, held, amount, value=amount) for who, owed, held in pairs)

    def govern(self, who: Address, what: Address) -> None:
        role = self.random.choice(ROLES[2:])
        match self.random.randrange(5):
            case 0:
                self.act(DESK, "pause(uint8)", self.random.randint(0, 3))
            case 1:
                self.act(DESK, "unpause(uint8)", 3)
            case 2:
                self.act(DESK, "grantRole(bytes32,address)", role, who)
            case 3:
                self.act(DESK, "revokeRole(bytes32,address)", role, who)
            case _:
                self.configure(what, minimum=self.random.randint(0, 10))

    def configure(self, token: Address, minimum: int) -> None:
        """Rates and caps as the seed has it; the minimum borrow in base units."""
        feed = self.chain.usdc_feed if token == self.chain.usdc else self.chain.weth_feed
        rates = (self.random.randint(0, 300), self.random.randint(100, 1_000), self.random.randint(1_000, 9_000))
        config = (feed, DAY, 7_500, 8_000, 500, 8_000, *rates, 10**30, 10**30, minimum)
        self.act(DESK, CONFIGURE, token, config)

    def ruin(self) -> None:
        """What a walk may miss: debt that collateral cannot pay, debt that nothing backs, a new admin."""
        weth, usdc = self.chain.weth, self.chain.usdc
        self.act(DESK, "unpause(uint8)", 3)
        self.act(ACTORS[0], "supply(address,uint256)", usdc, 10**6 * USDC_UNIT)
        self.credit(ABROAD, 1_000)
        assert self.act(ABROAD, "borrow(address,uint256,address)", usdc, 500 * USDC_UNIT, ABROAD)
        self.credit(ABROAD, 0)
        assert self.act(DESK, "writeOffBadDebt(address)", ABROAD)
        self.price(2_000)
        assert self.act(DEBTOR, "depositCollateral(address,uint256)", weth, 50 * ETHER)
        assert self.act(DEBTOR, "borrow(address,uint256,address)", usdc, 40_000 * USDC_UNIT, DEBTOR)
        self.price(100)
        while self.liquidate():
            pass
        transfer = "beginDefaultAdminTransfer(address)"
        assert self.act(DESK, transfer, ACTORS[2])
        assert self.act(DESK, "cancelDefaultAdminTransfer()")
        assert self.act(DESK, transfer, ACTORS[1])
