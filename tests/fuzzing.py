"""Limits for tests with generated inputs: processor time for each input, and a time for all of ``make fuzz``.

A signal counts processor time, so that a busy machine fails no test.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, settings

MAX_CPU_SECONDS = 5
"""For one input."""

IS_FUZZING = "FUZZ_EXAMPLES" in os.environ
COMMON: Any = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}

# The same inputs each time under `make test`, new ones under `make fuzz`.
settings.register_profile("tests", **COMMON, derandomize=True)
settings.register_profile(
    "fuzz", **COMMON, print_blob=True, max_examples=int(os.environ.get("FUZZ_EXAMPLES", "100"))
)
settings.load_profile("fuzz" if IS_FUZZING else "tests")

_ends_at = time.monotonic() + 60 * float(os.environ.get("FUZZ_MINUTES", "inf"))
_share_ends_at = float("inf")
_waiting: list[pytest.Item] = []
_inputs: Counter[str] = Counter()


def inputs(factor: float) -> settings:
    """Decorate a test that needs more inputs than others, or fewer."""
    return settings(max_examples=max(1, round(factor * settings().max_examples)))


def _limited(test: Callable[..., None]) -> Callable[..., None]:
    has_failed = False

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        nonlocal has_failed
        if time.monotonic() > _share_ends_at and not has_failed:
            pytest.skip(f"time is over after {_inputs[test.__name__]:,} inputs")
        _inputs[test.__name__] += 1
        signal.setitimer(signal.ITIMER_PROF, MAX_CPU_SECONDS)
        try:
            test(*args, **kwargs)
        except Exception:
            has_failed = True
            raise
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    return run


def _fail(*_: object) -> NoReturn:
    raise AssertionError(f"one input takes more than {MAX_CPU_SECONDS} s of processor time")


def pytest_collection_finish(session: pytest.Session) -> None:
    _waiting[:] = [item for item in session.items if item.get_closest_marker("hypothesis")]
    if _waiting:
        signal.signal(signal.SIGPROF, _fail)
    for test in {item.obj for item in _waiting}:  # parameters share one
        test.hypothesis.inner_test = _limited(test.hypothesis.inner_test)


def pytest_runtest_setup(item: pytest.Item) -> None:
    global _share_ends_at
    if item in _waiting:
        now = time.monotonic()
        _share_ends_at = now + (_ends_at - now) / len(_waiting)
        _waiting.remove(item)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if IS_FUZZING:
        terminalreporter.section("inputs")
        for name, count in [*sorted(_inputs.items()), ("in all", _inputs.total())]:
            terminalreporter.line(f"{count:>9,}  {name}")
