"""What the oracle is told. Plain values: the configuration is parsed elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fusion_daemon.domain.identifiers import Address, AssetId, ChainId, hex_of


class Middle(Enum):
    """Which figure is the median of an even number of figures."""

    LOWER = "lower"
    MID = "mid"
    """Half-way between the two in the middle, rounded down."""
    UPPER = "upper"
    """As Chainlink's off-chain reporting takes it."""


@dataclass(frozen=True, slots=True)
class ChainlinkSource:
    """A Chainlink aggregator proxy (anything that answers `latestRoundData`)."""

    chain: ChainId
    address: Address
    decimals: int
    """Checked against the feed's own `decimals()`."""
    description: str
    """Checked against the feed's own `description()`, for example `ETH / USD`."""
    heartbeat: float
    """Seconds after which the feed promises a new round."""
    slack: float
    """Seconds by which a round may be late."""

    @property
    def name(self) -> str:
        return f"chainlink:{self.chain}:{hex_of(self.address)}"

    @property
    def independence(self) -> str:
        return "chainlink"


@dataclass(frozen=True, slots=True)
class StaticSource:
    """A figure out of the configuration: always fresh, never moves."""

    usd: int
    """USD x 1e8."""

    @property
    def name(self) -> str:
        return "static"

    @property
    def independence(self) -> str:
        return "static"


Source = ChainlinkSource | StaticSource


@dataclass(frozen=True, slots=True)
class FeedSettings:
    asset: AssetId
    sources: tuple[Source, ...]
    deviation_bps: int
    """A move of at least this much is published at once."""
    heartbeat: float
    """Seconds after which the figure is published although it has not moved."""
    spread_bps: int
    """Fresh readings further apart than this make the figure suspect."""
    jump_bps: int = 3_000
    """A move beyond this from one publication to the next makes a single source's figure suspect."""
    middle: Middle = Middle.MID

    def __post_init__(self) -> None:
        names = [source.name for source in self.sources]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"{self.asset}: a feed needs sources, each once")


@dataclass(frozen=True, slots=True)
class OracleSettings:
    feeds: tuple[FeedSettings, ...]
    poll_interval: float
    """Seconds between two reads of a chain's feeds."""
    skew: float = 60.0
    """Seconds by which a round may lie in our future: two clocks differ, more is a broken feed."""
    dark_after: float = 30.0
    """Seconds for which a reading stands in for a source that does not answer. It has to be short:
    a feed may have moved by any amount since, without breaking its heartbeat."""

    def __post_init__(self) -> None:
        assets = [feed.asset for feed in self.feeds]
        if len(set(assets)) != len(assets):
            raise ValueError("an asset has one feed")
        if self.dark_after < 2 * self.poll_interval:
            raise ValueError("a source needs at least two polls before it counts as dark")

    def on_chains(self) -> dict[ChainId, tuple[ChainlinkSource, ...]]:
        """Every distinct on-chain source, by its chain."""
        found: dict[ChainId, dict[str, ChainlinkSource]] = {}
        for feed in self.feeds:
            for source in feed.sources:
                if isinstance(source, ChainlinkSource):
                    found.setdefault(source.chain, {})[source.name] = source
        return {chain: tuple(sources.values()) for chain, sources in found.items()}
