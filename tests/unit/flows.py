"""A flow is run by hand, without a socket, and its steps are recorded."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from airflow_provider_oleria.api.protocol import (
    CloseGate,
    FlowRun,
    RateLimitDelay,
    Request,
    Sleep,
)
from airflow_provider_oleria.api.responses import Response

ACCEPTED = {"id": "id-1", "status": "accepted"}


COMPLETED = {"id": "id-1", "status": "completed", "url": "https://s3.example/x?X-Amz-Signature=f00d"}


def answer(status: int, body: Any = None, **headers: str) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
    return Response(status, headers, content)


class Script:
    """A driver without I/O: returns results in order, and records the steps.

    :param turns: delays until the gate is open, in order, beside those for which the flow itself closes it.
    """

    def __init__(self, *results: Any, turns: Iterable[float] = ()) -> None:
        self.results: Iterable[Any] = iter(results)
        self.turns = list(turns)
        self.steps: list[Any] = []

    def run(self, flow: Any) -> Any:
        run = FlowRun(flow)
        while (step := run.step) is not None:
            if isinstance(step, RateLimitDelay):
                run.advance(self.turns.pop(0) if self.turns else 0.0)
                continue
            self.steps.append(step)
            if isinstance(step, CloseGate):
                self.turns.append(step.seconds)
            run.advance(None if isinstance(step, Sleep | CloseGate) else next(self.results))
        return run.result

    @property
    def sent(self) -> int:
        return sum(isinstance(step, Request) for step in self.steps)

    @property
    def pauses(self) -> list[float]:
        return [step.seconds for step in self.steps if isinstance(step, Sleep)]
