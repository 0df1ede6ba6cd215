"""The risk calls that need nothing but their body: one table for the command line and the admin port.

Every answer is a pure function of the request's bytes. It is imported when it is first asked, so that
a margin needs no numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fusion_daemon.domain.failure import Failure
from fusion_daemon.risk.request_body import Invalid, NotJson

Answer = Callable[[bytes], object]
"""From a JSON request to what is encoded as its answer. Raises the failures of STATUSES."""

STATUSES: Mapping[type[Failure], int] = MappingProxyType({NotJson: 400, Invalid: 422})


@dataclass(frozen=True, slots=True)
class StatelessCall:
    """`POST /v1/risk/<path>`, and `fusion-daemon risk <name>` for a line of standard input."""

    name: str
    summary: str
    answer: Answer

    @property
    def path(self) -> str:
        return self.name.replace("-", "/")


def _backtest(body: bytes) -> object:
    from fusion_daemon.risk.value_at_risk.backtest_request import answer_backtest

    return answer_backtest(body)


def _correlation(body: bytes) -> object:
    from fusion_daemon.risk.analytics.correlation_request import answer_correlation

    return answer_correlation(body)


def _margin(body: bytes) -> object:
    from fusion_daemon.risk.margin_rules.margin_answer import answer_margin

    return answer_margin(body)


def _margins(body: bytes) -> object:
    from fusion_daemon.risk.margin_rules.margin_answer import answer_margins

    return answer_margins(body)


def _performance(body: bytes) -> object:
    from fusion_daemon.risk.analytics.performance_request import answer_performance

    return answer_performance(body)


def _stress(body: bytes) -> object:
    from fusion_daemon.risk.stress.stress_answer import answer_stress

    return answer_stress(body)


def _var(body: bytes) -> object:
    from fusion_daemon.risk.value_at_risk.var_request import answer_var

    return answer_var(body)


STATELESS = (
    StatelessCall("margin", "Compute health factor, liquidation prices and cures of given positions", _margin),
    StatelessCall("margin-batch", "The same of a list of accounts, answered by a list", _margins),
    StatelessCall("var", "Value at risk and expected shortfall of a portfolio, by a named method", _var),
    StatelessCall("stress", "Margin of given positions under named scenarios, and the worst of them", _stress),
    StatelessCall("correlation", "Correlations of return series, by a named method", _correlation),
    StatelessCall("performance", "Return, risk and concentration of a portfolio's history of values", _performance),
    StatelessCall("backtest", "Test a history of VaR against the losses that came", _backtest),
)
