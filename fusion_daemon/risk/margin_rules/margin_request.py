"""`margin`: from a JSON request to its answer. Integers are decimal text, so that none is ever a float."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fusion_daemon.domain.price import LARGEST_USD
from fusion_daemon.risk.margin import RAY, WAD
from fusion_daemon.risk.margin_rules.doubt import Freshness, band
from fusion_daemon.risk.margin_rules.position import CollateralLeg, DebtLeg, Pool, Position, Quote
from fusion_daemon.risk.margin_rules.rule_names import RuleName
from fusion_daemon.risk.request_body import invalid

MOST_LEGS = 32
"""Of each side."""
MOST_REQUESTS = 100
_DIGITS = 78
"""Of the largest uint256."""
_LARGEST = 2**256 - 1

Whole = Annotated[str, msgspec.Meta(pattern=rf"\A[0-9]{{1,{_DIGITS}}}\Z")]
Bps = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
Decimals = Annotated[int, msgspec.Meta(ge=0, le=36)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
PriceText = Annotated[str, msgspec.Meta(max_length=_DIGITS + 1)]
_ONE_RAY = str(RAY)


class LegForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    asset: Name
    scaled: Whole
    index_ray: Whole = _ONE_RAY
    decimals: Decimals
    price: PriceText | None = None
    """Read only where something is held or owed: what a dead oracle says of an empty leg is nobody's business."""
    price_decimals: Decimals = 8
    price_band_bps: Annotated[int, msgspec.Meta(ge=0, le=9_999)] = 0
    price_age_seconds: Seconds | None = None
    price_max_age_seconds: Annotated[int, msgspec.Meta(ge=1, le=10**9)] | None = None
    stable: bool = False
    """Stands still in a joint move."""

    @property
    def freshness(self) -> Freshness:
        if self.price_age_seconds is None or self.price_max_age_seconds is None:
            return Freshness(0, 1)
        return Freshness(self.price_age_seconds, self.price_max_age_seconds)

    @property
    def band_bps(self) -> int:
        return band(self.price_band_bps, self.freshness)


class CollateralForm(LegForm, frozen=True, forbid_unknown_fields=True, kw_only=True):
    liquidation_threshold_bps: Bps
    ltv_bps: Bps


class DebtForm(LegForm, frozen=True, forbid_unknown_fields=True, kw_only=True):
    total_borrow_assets: Whole | None = None
    total_borrow_shares: Whole | None = None
    """Of a Morpho Blue market: `scaled` is shares of them then."""


class MarginRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    collateral: Annotated[list[CollateralForm], msgspec.Meta(max_length=MOST_LEGS)]
    debt: Annotated[list[DebtForm], msgspec.Meta(max_length=MOST_LEGS)]
    rules: RuleName = RuleName.AAVE_V3_5
    target_health_factor_wad: Whole = str(WAD)
    """What a cure is to reach."""


def position_of(asked: MarginRequest) -> Position:
    """Without the empty legs. Raises Invalid."""
    collateral = tuple(_collateral(form) for form in asked.collateral if int(form.scaled))
    debt = tuple(_debt(form, asked.rules) for form in asked.debt if int(form.scaled))
    _check_prices(asked)
    _check_shape(asked.rules, collateral, debt)
    return Position(collateral, debt)


def target_of(asked: MarginRequest) -> int:
    target = _whole(asked.target_health_factor_wad, "target_health_factor_wad")
    if not WAD // 100 <= target <= 1_000 * WAD:
        raise invalid(f"`target_health_factor_wad` is {target}.", "Send one from 0.01e18 to 1000e18.")
    return target


def filled(asked: MarginRequest) -> list[LegForm]:
    return [form for form in (*asked.collateral, *asked.debt) if int(form.scaled)]


def _collateral(form: CollateralForm) -> CollateralLeg:
    return CollateralLeg(
        asset=form.asset,
        scaled=_whole(form.scaled, f"scaled of {form.asset}"),
        index=_index(form),
        decimals=form.decimals,
        quote=_quote(form),
        threshold_bps=form.liquidation_threshold_bps,
        ltv_bps=0 if form.freshness.stale else form.ltv_bps,
    )


def _debt(form: DebtForm, rules: RuleName) -> DebtLeg:
    return DebtLeg(
        asset=form.asset,
        scaled=_whole(form.scaled, f"scaled of {form.asset}"),
        index=_index(form),
        decimals=form.decimals,
        quote=_quote(form),
        pool=_pool(form, rules),
    )


def _pool(form: DebtForm, rules: RuleName) -> Pool | None:
    if form.total_borrow_assets is None and form.total_borrow_shares is None:
        return None
    if form.total_borrow_assets is None or form.total_borrow_shares is None or rules is not RuleName.MORPHO_BLUE:
        raise invalid(
            f"The debt in {form.asset} names borrow totals that cannot be used.",
            "Send `total_borrow_assets` and `total_borrow_shares` together, for morpho_blue alone.",
        )
    shares = _whole(form.total_borrow_shares, "total_borrow_shares")
    if int(form.scaled) > shares:
        raise invalid(
            f"The debt in {form.asset} has more shares than its market.", "Send the market's totals of the same block."
        )
    return Pool(_whole(form.total_borrow_assets, "total_borrow_assets"), shares)


def _index(form: LegForm) -> int:
    index = _whole(form.index_ray, f"index_ray of {form.asset}")
    if index == 0:
        raise invalid(
            f"`index_ray` of {form.asset} is 0.", f"Send the index of its reserve; {RAY} where there is none."
        )
    return index


def _quote(form: LegForm) -> Quote:
    text = form.price
    if text is None or not text.isascii() or not text.isdecimal() or int(text) == 0:
        raise invalid(
            f"{form.asset} has no price that is a whole number above 0, and the account needs one.",
            "Send `price` as decimal text, in units of 10^-price_decimals USD, for every leg that is not empty.",
        )
    price = _whole(text, f"price of {form.asset}")
    if price * 10**8 > LARGEST_USD * 10**form.price_decimals:
        raise invalid(f"The price of {form.asset} is above 1e22 USD.", "Correct `price` or `price_decimals`.")
    return Quote(price, form.price_decimals)


def _whole(text: str, name: str) -> int:
    value = int(text)
    if value > _LARGEST:
        raise invalid(f"`{name}` is larger than a uint256.", "Send what the chain says.")
    return value


def _check_prices(asked: MarginRequest) -> None:
    """One asset has one price. Raises Invalid."""
    known: dict[str, tuple[object, ...]] = {}
    for form in filled(asked):
        if (form.price_age_seconds is None) is not (form.price_max_age_seconds is None):
            raise invalid(
                f"{form.asset} has an age of its price or a largest one, not both.",
                "Send `price_age_seconds` and `price_max_age_seconds` together.",
            )
        told = (_quote(form), form.price_band_bps, form.freshness, form.stable)
        if known.setdefault(form.asset, told) != told:
            raise invalid(
                f"{form.asset} has two prices.",
                "Send the same price, decimals, band, age and `stable` in all its legs.",
            )


def _check_shape(rules: RuleName, collateral: tuple[CollateralLeg, ...], debt: tuple[DebtLeg, ...]) -> None:
    """Raises Invalid where the protocol knows no such position."""
    if rules is RuleName.COMPOUND_V3 and len(debt) > 1:
        raise invalid("compound_v3 lends one base asset, and there are several debts.", "Send one request a market.")
    if rules is RuleName.MORPHO_BLUE and (len(debt) > 1 or len(collateral) > 1):
        raise invalid("morpho_blue has one collateral and one debt a market.", "Send one request a market.")
    both = {leg.asset for leg in collateral} & {leg.asset for leg in debt}
    if both and rules in (RuleName.COMPOUND_V3, RuleName.MORPHO_BLUE):
        raise invalid(
            f"{rules.value} has no asset on both sides, and {min(both)} is.",
            "Send what is owed net of what is held: there it is one signed balance.",
        )
