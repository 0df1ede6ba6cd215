"""From config.toml's sections to what each room is told: the only place that knows both."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from actors.retention_settings import RetentionSettings
from fusion_daemon import config_transactions
from fusion_daemon.alerting.settings import AlertingSettings, Receiver, SmtpSecurity, SmtpSettings
from fusion_daemon.alerting.signature import SecretInvalid, parse_secrets
from fusion_daemon.chain.settings import ChainSettings, PollSettings, RateBounds
from fusion_daemon.config import Asset, Chain, ChainlinkSource, Config, ConfigurationInvalid, Principal
from fusion_daemon.config_bridges import Bridges, StageTerms
from fusion_daemon.config_transactions import Signer
from fusion_daemon.crosschain import AxelarContracts, CcipContracts, LaneTerms, Network, Networks, Rules, Terms
from fusion_daemon.crosschain.hints import Source
from fusion_daemon.crosschain.settings import ExplorerSettings, MessageSettings
from fusion_daemon.domain.account import Channel
from fusion_daemon.domain.identifiers import Address, AssetId, ChainId, parse_address
from fusion_daemon.domain.price import USD_SCALE
from fusion_daemon.http.principals import hash_token
from fusion_daemon.http.route import Role
from fusion_daemon.http.settings import HttpSettings, PrincipalSettings
from fusion_daemon.oracle import settings as oracle
from fusion_daemon.risk.settings import Limits as RiskLimits
from fusion_daemon.risk.settings import RiskSettings, price_lifetime
from fusion_daemon.secret_files import with_secrets
from fusion_daemon.transactions.settings import (
    AllowedCall,
    AmountLimit,
    Limits,
    SendingPolicy,
    SignerSettings,
    TransactionSettings,
)

SecretOf = Callable[[str], str]
SECONDS_A_DAY = 86_400.0


def chain_settings(chain: Chain, secret: SecretOf) -> ChainSettings:
    """Raises SecretMissing when an RPC URL names a secret that is not there."""
    return ChainSettings(
        chain=ChainId(chain.id),
        name=chain.name,
        rpc_urls=tuple(with_secrets(url, secret) for url in chain.rpc_urls),
        contracts=tuple(map(parse_address, _contracts(chain))),
        factories=tuple(map(parse_address, chain.escrow_factories)),
        start_block=chain.start_block,
        finality_depth=chain.finality_depth,
        longest_span=chain.max_span,
        workers=chain.workers,
        request_timeout=chain.request_timeout_seconds,
        poll=PollSettings(chain.poll_min_seconds, chain.poll_max_seconds),
        rate=RateBounds(chain.calls_per_second_min, chain.calls_per_second_max),
        ws_urls=tuple(with_secrets(url, secret) for url in chain.ws_urls),
    )


def _contracts(chain: Chain) -> tuple[str, ...]:
    bridges = () if chain.bridges is None else chain.bridges.contracts()
    return (*chain.vaults, *chain.escrow_factories, *bridges)


def own_contracts(chain: Chain) -> tuple[Address, ...]:
    """Those of ours that the configuration names: what a deployment file has to describe."""
    found = [*chain.vaults, *chain.escrow_factories]
    if chain.bridges is not None:
        bridges = chain.bridges
        found.append(bridges.router)
        found += [] if bridges.remote_credit is None else [bridges.remote_credit.address]
        found += [] if bridges.axelar is None else [bridges.axelar.adapter]
        found += [] if bridges.ccip is None else [bridges.ccip.adapter]
    return tuple(map(parse_address, found))


def oracle_settings(config: Config) -> oracle.OracleSettings:
    feeds = tuple(_feed(asset) for asset in config.oracle.assets)
    return oracle.OracleSettings(feeds=feeds, poll_interval=config.oracle.poll_seconds)


def risk_settings(config: Config) -> RiskSettings:
    tokens = {
        (ChainId(chain.id), parse_address(token.address)): AssetId(token.asset)
        for chain in config.chains
        for token in chain.tokens
    }
    return RiskSettings(
        tokens=tokens,
        score=RiskLimits(*config.risk.score_bps),
        health=RiskLimits(*config.risk.health_factor_bps),
        hysteresis_bps=config.risk.hysteresis_bps,
        lifetimes={AssetId(each.asset): price_lifetime(each.heartbeat_seconds) for each in config.oracle.assets},
        interest_seconds=config.risk.interest_seconds,
        locks={
            (ChainId(chain.id), parse_address(chain.bridges.remote_credit.address)): parse_address(
                chain.bridges.remote_credit.vault
            )
            for chain in config.chains
            if chain.bridges is not None and chain.bridges.remote_credit is not None
        },
    )


def alerting_settings(config: Config) -> AlertingSettings:
    section = config.alerting
    receivers = tuple(
        Receiver(each.name, Channel(each.channel), each.target, each.secret) for each in section.receivers
    )
    smtp = (
        None
        if section.smtp is None
        else SmtpSettings(
            host=section.smtp.host,
            port=section.smtp.port,
            security=SmtpSecurity(section.smtp.security),
            sender=section.smtp.sender,
            username=section.smtp.username,
            password=section.smtp.password,
        )
    )
    return AlertingSettings(receivers, smtp, section.timeout_seconds, section.concurrency)


def check_signing_keys(config: Config, secret: SecretOf) -> None:
    """A key that cannot sign would only show when the first margin call fails. Raises ConfigurationInvalid,
    SecretMissing."""
    for receiver in config.alerting.receivers:
        if receiver.secret is None:
            continue
        try:
            parse_secrets(secret(receiver.secret))
        except SecretInvalid as error:
            raise ConfigurationInvalid(
                f"The signing key {receiver.secret} of the receiver {receiver.name} is malformed.",
                "None of its alerts could be signed, so none could be sent.",
                error.remedy,
            ) from error


def message_settings(config: Config) -> MessageSettings:
    """Raises NetworksContradict."""
    section = config.messages
    return MessageSettings(
        networks=Networks(
            _network(ChainId(chain.id), chain.bridges) for chain in config.chains if chain.bridges is not None
        ),
        terms=Terms(
            default=_lane_terms(section),
            lanes={(ChainId(lane.source), ChainId(lane.destination)): _lane_terms(lane) for lane in section.lanes},
            orphan_grace=section.orphan_grace_seconds,
        ),
    )


def explorer_settings(config: Config) -> ExplorerSettings:
    section = config.messages.explorers
    urls = {Source.AXELARSCAN: section.axelarscan, Source.CCIP_API: section.ccip_api}
    return ExplorerSettings({source: url for source, url in urls.items() if url is not None}, section.timeout_seconds)


def message_rules(config: Config) -> Rules:
    """By which messages are judged. Raises NetworksContradict."""
    settings = message_settings(config)
    return Rules(settings.networks, settings.terms)


def _network(chain: ChainId, bridges: Bridges) -> Network:
    axelar, ccip = bridges.axelar, bridges.ccip
    return Network(
        chain,
        parse_address(bridges.router),
        None
        if axelar is None
        else AxelarContracts(
            name=axelar.name,
            gateway=parse_address(axelar.gateway),
            gas_service=parse_address(axelar.gas_service),
            adapter=parse_address(axelar.adapter),
        ),
        None
        if ccip is None
        else CcipContracts(
            selector=ccip.selector,
            on_ramps=tuple(map(parse_address, ccip.on_ramps)),
            off_ramps=tuple(map(parse_address, ccip.off_ramps)),
            adapter=parse_address(ccip.adapter),
            commit_stores=tuple(map(parse_address, ccip.commit_stores)),
            lanes={parse_address(contract): ChainId(far) for contract, far in ccip.lanes.items()},
        ),
    )


def _lane_terms(section: StageTerms) -> LaneTerms:
    return LaneTerms(
        source_finality=section.source_finality_seconds,
        acceptance=section.acceptance_seconds,
        execution=section.execution_seconds,
        application=section.application_seconds,
        retry=section.retry_seconds,
        recovery=section.recovery_seconds,
        destination_finality=section.destination_finality_seconds,
        least_gas=section.least_gas_wei,
        manual=section.manual_execution_seconds,
    )


def retention_settings(config: Config) -> RetentionSettings:
    section = config.retention
    return RetentionSettings(
        journal=section.journal_days * SECONDS_A_DAY,
        prices=section.prices_days * SECONDS_A_DAY,
        deliveries=section.deliveries_days * SECONDS_A_DAY,
        messages=section.messages_days * SECONDS_A_DAY,
        transactions=section.transactions_days * SECONDS_A_DAY,
        assets=tuple(AssetId(asset.asset) for asset in config.oracle.assets),
    )


def transaction_settings(config: Config) -> TransactionSettings:
    section = config.transactions
    return TransactionSettings(
        chains=tuple(ChainId(chain.id) for chain in config.chains),
        signers={each.address: each for each in map(signer_settings, config.signers)},
        limits=Limits(
            calls=tuple(map(_allowed, section.calls)),
            amounts={
                (each.purpose, AssetId(each.asset)): AmountLimit(
                    int(each.each), int(each.day), int(each.four_eyes_above)
                )
                for each in section.limits
            },
        ),
        policy=SendingPolicy(
            replace_after=section.replace_after_seconds,
            gap_after=section.gap_after_seconds,
            most_in_flight=section.max_in_flight,
        ),
        poll=section.poll_seconds,
    )


def signer_settings(signer: Signer) -> SignerSettings:
    return SignerSettings(
        name=signer.name,
        address=parse_address(signer.address),
        chains=frozenset(map(ChainId, signer.chains)),
        key=signer.key,
        keystore=signer.keystore,
        passphrase=signer.passphrase,
        gas_budget=int(signer.gas_wei_a_day),
    )


def admin_http(config: Config) -> HttpSettings:
    socket = config.http.socket or config.daemon.state_directory / "admin.sock"
    return HttpSettings(host=config.http.host, port=config.http.port, socket=socket)


def metrics_http(config: Config) -> HttpSettings:
    return HttpSettings(host=config.http.metrics_host, port=config.http.metrics_port, network=True)


def principal_settings(principal: Principal, secret: SecretOf) -> PrincipalSettings:
    """Raises SecretMissing."""
    token = None if principal.token is None else secret(principal.token)
    if token is not None and not token.startswith("sha256:"):
        token = hash_token(token)
    return PrincipalSettings(principal.name, Role[principal.role.upper()], token_hash=token, uid=principal.uid)


def _allowed(call: config_transactions.AllowedCall) -> AllowedCall:
    selector = b"" if call.selector is None else bytes.fromhex(call.selector[2:])
    return AllowedCall(ChainId(call.chain), parse_address(call.to), selector, frozenset(call.purposes), call.approval)


def _feed(asset: Asset) -> oracle.FeedSettings:
    return oracle.FeedSettings(
        asset=AssetId(asset.asset),
        sources=tuple(
            oracle.ChainlinkSource(
                chain=ChainId(source.chain),
                address=parse_address(source.address),
                decimals=source.decimals,
                description=source.description,
                heartbeat=source.heartbeat_seconds,
                slack=source.slack_seconds,
            )
            if isinstance(source, ChainlinkSource)
            else oracle.StaticSource(int(Decimal(source.usd) * USD_SCALE))
            for source in asset.sources
        ),
        deviation_bps=asset.deviation_bps,
        heartbeat=asset.heartbeat_seconds,
        spread_bps=asset.spread_bps,
        jump_bps=asset.jump_bps,
    )
