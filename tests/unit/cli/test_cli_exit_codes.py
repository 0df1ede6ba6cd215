"""Rule: a Failure is shown as its text, masked; which one decides the exit code; a defect keeps its traceback."""

from __future__ import annotations

import pytest
import typer

from fusion_daemon.cli import CONFIGURATION, FAILED, _failures
from fusion_daemon.config import ConfigurationInvalid
from fusion_daemon.domain.failure import Failure
from fusion_daemon.http.principals import TokenInvalid
from fusion_daemon.secret_files import SecretMissing

PLAIN = Failure("It fell.", "Nothing stands.", "Lift it.")
CONFIG = ConfigurationInvalid("It is wrong.", "Nothing runs.", "Mend it.")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PLAIN, FAILED),
        (CONFIG, CONFIGURATION),
        (SecretMissing("a", "b", "c"), CONFIGURATION),
        (TokenInvalid("a", "b", "c"), CONFIGURATION),
        (ExceptionGroup("nursery", [PLAIN]), FAILED),
        (ExceptionGroup("nursery", [PLAIN, ExceptionGroup("inner", [CONFIG])]), CONFIGURATION),
    ],
)
def test_the_exit_code_says_whether_a_restart_may_help(error: Exception, code: int) -> None:
    with pytest.raises(typer.Exit) as caught, _failures():
        raise error
    assert caught.value.exit_code == code


def test_all_failures_of_a_group_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), _failures():
        raise ExceptionGroup("nursery", [PLAIN, CONFIG])
    assert capsys.readouterr().err.splitlines() == [str(PLAIN), str(CONFIG)]


def test_a_known_secret_is_masked_in_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), _failures() as redactor:
        redactor.register(["desk-secret-1"])
        raise Failure("The server said desk-secret-1 to postgresql://u:pass@db/x.", "Odd.", "Ask.")
    assert capsys.readouterr().err == "The server said [redacted] to postgresql://u:[redacted]@db/x. Odd. Ask.\n"


def test_ctrl_c_is_itself_again_whatever_nurseries_it_passed() -> None:
    wrapped = BaseExceptionGroup("outer", [BaseExceptionGroup("inner", [KeyboardInterrupt()])])
    with pytest.raises(KeyboardInterrupt), _failures():
        raise wrapped
    with pytest.raises(BaseExceptionGroup), _failures():
        raise BaseExceptionGroup("mixed", [KeyboardInterrupt(), ValueError("defect")])


@pytest.mark.parametrize("error", [ValueError("defect"), ExceptionGroup("mixed", [PLAIN, ValueError("defect")])])
def test_a_defect_is_raised_on(error: Exception) -> None:
    with pytest.raises(type(error)), _failures():
        raise error
