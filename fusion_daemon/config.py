"""config.toml as typed models. Every key is documented here and in the shipped `config.toml`.

Unknown keys are refused. A secret never stands in the file: it is named, and its value is a file of that
name in the secrets directory (`$CREDENTIALS_DIRECTORY` under systemd, else `[secrets] directory`).
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, model_validator

from fusion_daemon.accounts.contact_rules import is_mail_address
from fusion_daemon.config_bridges import Bridges, Messages
from fusion_daemon.config_section import Section
from fusion_daemon.config_transactions import Signer, Transactions, check_chains
from fusion_daemon.config_values import (
    AddressText,
    Host,
    Loopback,
    Name,
    Port,
    PostgresUrl,
    Seconds,
    Sender,
    SocketUrl,
    Symbol,
    Url,
    Usd,
)
from fusion_daemon.domain.failure import Failure

_ENTRIES = {
    "chains": ("chain", "id"),
    "tokens": ("token", "asset"),
    "assets": ("asset", "asset"),
    "principals": ("principal", "name"),
    "receivers": ("receiver", "name"),
    "lanes": ("lane from chain", "source"),
    "signers": ("signer", "name"),
    "calls": ("call of", "to"),
    "limits": ("limit for", "purpose"),
}
"""Arrays of tables: what an entry is, and the key under which its author knows it."""


_TEXTS = {"extra_forbidden": "unknown key", "missing": "it is missing", "too_short": "it needs at least one entry"}
"""What is said instead of pydantic's own words, by the kind of its error."""


class ConfigurationInvalid(Failure):
    """config.toml is missing, is not TOML, or says something impossible. Exit code 78."""


class Daemon(Section):
    instance: Name = "fusion-prime"
    """Names this daemon in its own log lines and as the holder of the lease: give a standby a name of its own."""
    state_directory: Path = Path("/var/lib/fusion-prime")
    """Holds the embedded Postgres. Under systemd the StateDirectory."""


class Database(Section):
    dsn: PostgresUrl | None = None
    """An external Postgres, without a password. Absent: the embedded one."""
    password: Name | None = None
    """The name of the secret that holds the external Postgres' password."""
    lease_seconds: float = Field(default=10.0, ge=2.0)
    """A daemon that has renewed nothing for this long, by the database's clock, may be replaced by a standby. A dead
    one is replaced at once."""

    @model_validator(mode="after")
    def _someone_logs_in(self) -> Database:
        if self.password is not None and (self.dsn is None or not urlsplit(self.dsn).username):
            raise ValueError("a password needs a dsn that names the user")
        return self


class Principal(Section):
    """An operator. On the unix socket by user id, on TCP by a bearer token; either or both."""

    name: Name
    role: Literal["viewer", "operator", "admin"] = "operator"
    token: Name | None = None
    """The name of the secret that holds the token, or its SHA-256 as `sha256:<hex>`."""
    uid: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _known_by_something(self) -> Principal:
        if self.token is None and self.uid is None:
            raise ValueError(f"{self.name} needs a token or a uid, or nobody could act under that name")
        return self


class Http(Section):
    host: Loopback = "127.0.0.1"
    port: Port = 8780
    """The admin port. 0 picks a free one."""
    socket: Path | None = None
    """The admin unix socket (mode 0660). Absent: `admin.sock` in the state directory."""
    metrics_host: Host = "127.0.0.1"
    metrics_port: Port = 9478
    principals: tuple[Principal, ...] = ()

    @model_validator(mode="after")
    def _apart(self) -> Http:
        uids = [each.uid for each in self.principals if each.uid is not None]
        if len({each.name for each in self.principals}) != len(self.principals) or len(set(uids)) != len(uids):
            raise ValueError("two principals have the same name or the same uid")
        if self.port and self.port == self.metrics_port:
            raise ValueError("port and metrics_port are the same")
        return self


class Logging(Section):
    style: Literal["auto", "json", "console"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Token(Section):
    address: AddressText
    """0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE is the native currency."""
    asset: Symbol
    """The asset under which it is priced; the same on every chain."""


class Chain(Section):
    id: int = Field(gt=0)
    name: Name
    rpc_urls: tuple[Url, ...] = Field(min_length=1)
    """Tried in order. A key in a URL is a secret: write `{name}` where the value of that secret belongs."""
    ws_urls: tuple[SocketUrl, ...] = ()
    """Where nodes announce new heads: each is a hint to look sooner. The chain is polled in any case."""
    start_block: int | None = Field(default=None, ge=0)
    """The first block of interest. Absent: wait for `POST /v1/chains/{id}/start-block`."""
    vaults: tuple[AddressText, ...] = ()
    escrow_factories: tuple[AddressText, ...] = ()
    bridges: Bridges | None = None
    tokens: tuple[Token, ...] = ()
    finality_depth: int = Field(default=64, ge=1)
    """Blocks after which a block counts as final where the chain has no `finalized` tag."""
    poll_min_seconds: Seconds = 0.25
    poll_max_seconds: Seconds = 15.0
    max_span: int = Field(default=2000, ge=1, le=100_000)
    """The most blocks asked for in one eth_getLogs."""
    workers: int = Field(default=4, ge=1, le=32)
    """Ranges that are read at once while the listener is behind. What is stored does not depend on it."""
    request_timeout_seconds: Seconds = 10.0
    calls_per_second_min: float = Field(default=5.0, ge=1)
    calls_per_second_max: float = Field(default=100_000.0, ge=1)
    """Bounds of the pace at which one endpoint is asked, a batch counting as its calls: it falls when the provider
    limits us, and climbs back."""

    @model_validator(mode="after")
    def _consistent(self) -> Chain:
        if self.calls_per_second_min > self.calls_per_second_max:
            raise ValueError("calls_per_second_min is above calls_per_second_max")
        if self.poll_min_seconds > self.poll_max_seconds:
            raise ValueError("poll_min_seconds is above poll_max_seconds")
        if len({token.address.lower() for token in self.tokens}) != len(self.tokens):
            raise ValueError("two tokens have the same address: which asset is it?")
        credit = None if self.bridges is None else self.bridges.remote_credit
        if credit is not None and credit.vault.lower() not in [vault.lower() for vault in self.vaults]:
            raise ValueError("bridges.remote_credit.vault is none of the vaults of this chain")
        return self


class ChainlinkSource(Section):
    kind: Literal["chainlink"]
    chain: int
    address: AddressText
    """The proxy."""
    decimals: int = Field(ge=0, le=36)
    description: str
    heartbeat_seconds: Seconds
    slack_seconds: float = Field(default=60.0, ge=0)


class StaticSource(Section):
    kind: Literal["static"]
    usd: Usd


Source = Annotated[ChainlinkSource | StaticSource, Field(discriminator="kind")]


class Asset(Section):
    asset: Symbol
    sources: tuple[Source, ...] = Field(min_length=1)
    deviation_bps: int = Field(default=10, ge=0)
    """A move of at least this much is published at once."""
    heartbeat_seconds: float = Field(default=60.0, ge=30)
    """Published at least this often; not more often than what a doubted move has to stand for."""
    spread_bps: int = Field(default=200, ge=1)
    """Sources further apart than this make the price suspect."""
    jump_bps: int = Field(default=3000, ge=1)
    """A move beyond this since the last publication makes the price suspect while one source alone tells it:
    until another does, a later round does, or it has stood by it for 30 seconds."""


class Oracle(Section):
    poll_seconds: Annotated[float, Field(gt=0, le=15)] = 2.0
    """A source counts as dark after 30 seconds; that has to hold at least two polls."""
    assets: tuple[Asset, ...] = ()


class Risk(Section):
    """Limits of the two measures; the state is the worse of them."""

    score_bps: tuple[int, int, int] = (5000, 3000, 1500)
    """Margin health score: HEALTHY at or above the first, then WARNING, then MARGIN_CALL."""
    health_factor_bps: tuple[int, int, int] = (15000, 12500, 10000)
    """Health factor likewise; below 1.0 is always LIQUIDATION."""
    hysteresis_bps: int = Field(default=200, ge=0, le=5000)
    interest_seconds: Seconds = 60.0
    """How often health is recomputed for interest alone."""

    @model_validator(mode="after")
    def _descending(self) -> Risk:
        for limits in (self.score_bps, self.health_factor_bps):
            if not limits[0] > limits[1] > limits[2] > 0:
                raise ValueError(f"limits must fall and stay above 0: {limits}")
        if self.health_factor_bps[2] < 10000:
            raise ValueError("the last health factor limit may not be below 10000 (1.0)")
        return self


class Receiver(Section):
    """A desk receiver: told of every account's alerts."""

    name: Name
    channel: Literal["webhook", "email"]
    target: str
    secret: Name | None = None
    """Webhooks: the secret that holds the `whsec_…` signing key."""

    @model_validator(mode="after")
    def _complete(self) -> Receiver:
        url = urlsplit(self.target)
        if self.channel == "webhook" and (
            self.secret is None or url.scheme not in ("http", "https") or not url.hostname
        ):
            raise ValueError("a webhook receiver needs an http(s) target and a secret")
        if self.channel == "email" and not is_mail_address(self.target):
            raise ValueError("an e-mail receiver needs a mail address as target")
        return self


class Smtp(Section):
    host: str
    port: Port = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: Name | None = None
    sender: Sender


class Alerting(Section):
    receivers: tuple[Receiver, ...] = ()
    timeout_seconds: Seconds = 15.0
    concurrency: int = Field(default=128, ge=1, le=512)
    smtp: Smtp | None = None


Days = Annotated[int, Field(ge=7, le=36_500)]


class Retention(Section):
    """For how many days history is kept at the least. Whole partitions are dropped, the oldest first, and only
    when no consumer, no reorg and no unfinished delivery needs them: see docs/operations.md."""

    journal_days: Days = 400
    """Journals, blocks and logs, by the blocks' own times."""
    prices_days: Days = 400
    """The last price of every asset is always kept."""
    deliveries_days: Days = 400
    """Ended deliveries and their attempts. Alerts and margin events are kept for ever."""
    messages_days: Days = 400
    """Evidence of messages that ended for good, and what strangers wrote. Messages and their changes are kept for
    ever."""
    transactions_days: Days = 400
    """The steps of ended transactions but the first and the last. Transactions and who approved them are kept for
    ever."""


class Secrets(Section):
    directory: Path | None = None
    """Used when $CREDENTIALS_DIRECTORY is not set. Files 0600, one secret each."""


class Config(Section):
    daemon: Daemon = Daemon()
    database: Database = Database()
    http: Http = Http()
    logging: Logging = Logging()
    secrets: Secrets = Secrets()
    chains: tuple[Chain, ...] = Field(min_length=1)
    oracle: Oracle = Oracle()
    risk: Risk = Risk()
    alerting: Alerting = Alerting()
    messages: Messages = Messages()
    retention: Retention = Retention()
    signers: tuple[Signer, ...] = ()
    transactions: Transactions = Transactions()

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        chains = [chain.id for chain in self.chains]
        if len(set(chains)) != len(chains):
            raise ValueError("two [[chains]] have the same id")
        priced = {asset.asset for asset in self.oracle.assets}
        if len(priced) != len(self.oracle.assets):
            raise ValueError("two [[oracle.assets]] have the same asset")
        for chain in self.chains:
            for token in chain.tokens:
                if token.asset not in priced:
                    raise ValueError(f"chain {chain.id}: nothing prices asset {token.asset}; add an [[oracle.assets]]")
        for asset in self.oracle.assets:
            for source in asset.sources:
                if isinstance(source, ChainlinkSource) and source.chain not in chains:
                    raise ValueError(f"asset {asset.asset}: its feed lies on chain {source.chain}, which is not listed")
        check_chains(self.signers, self.transactions, set(chains))
        names = [receiver.name for receiver in self.alerting.receivers]
        if len(set(names)) != len(names):
            raise ValueError("two [[alerting.receivers]] have the same name")
        if self.alerting.smtp is None and any(each.channel == "email" for each in self.alerting.receivers):
            raise ValueError("an e-mail receiver needs [alerting.smtp]")
        return self

    @model_validator(mode="after")
    def _lanes_join_chains(self) -> Config:
        chains = {chain.id for chain in self.chains}
        for lane in self.messages.lanes:
            if not {lane.source, lane.destination} <= chains:
                raise ValueError(f"the lane from {lane.source} to {lane.destination} names a chain that is not listed")
        return self


def load_config(path: Path | None) -> Config:
    """Read and check config.toml. Raises ConfigurationInvalid with one line a finding."""
    if path is None:
        raise ConfigurationInvalid(
            "No configuration was given.",
            "The daemon does not guess what it should watch.",
            "Pass --config config.toml (the repository holds a commented example), or try `fusion-daemon demo`.",
        )
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationInvalid(
            f"{path} cannot be read ({error.strerror}).",
            "There is no configuration.",
            "Give the path of a readable file.",
        ) from error
    try:
        parsed = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationInvalid(f"{path} is not TOML: {error}.", "Nothing was read.", "Mend that line.") from error
    try:
        return Config.model_validate(parsed)
    except ValidationError as error:
        raise ConfigurationInvalid(
            f"{path} is not valid:\n" + "\n".join(_findings(error, parsed)) + "\n",
            "Nothing was done.",
            "Mend each key named above; config.toml in the repository documents all of them.",
        ) from error


def _findings(error: ValidationError, parsed: dict[str, object]) -> list[str]:
    findings = []
    items = error.errors(include_url=False, include_input=False)
    for item in items:
        place = item["loc"]
        if item["type"] == "too_short" and any(each["loc"][: len(place)] == place for each in items if each != item):
            continue  # the entries are there, but each is wrong, as its own finding says
        where = ".".join(str(part) for part in item["loc"]) or "the file"
        text = _TEXTS.get(item["type"]) or item["msg"].removeprefix("Value error, ")
        findings.append(f"  {where}{_entry(place, parsed)}: {text}")
    return findings


def _entry(place: tuple[int | str, ...], parsed: object) -> str:
    """` (chain 1)`: the entry of an array of tables in which the place lies, for nobody counts them from 0."""
    named = ""
    for array, part in zip((None, *place), place, strict=False):
        if isinstance(parsed, dict):
            parsed = parsed.get(part)
        elif isinstance(parsed, list) and isinstance(part, int):
            parsed = parsed[part]
            what, key = _ENTRIES.get(str(array), ("", ""))
            if isinstance(parsed, dict) and isinstance(found := parsed.get(key), (int, str)):
                named = f" ({what} {found})"
        else:
            break  # a tag of the validator's, not of the file
    return named
