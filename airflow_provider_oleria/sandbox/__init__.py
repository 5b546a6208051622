"""A local Oleria, to try and test DAGs without a tenant.

From a shell, ``python -m airflow_provider_oleria.sandbox``; from Python, :class:`Sandbox`; in pytest, the fixture
``oleria_sandbox`` of :mod:`airflow_provider_oleria.sandbox.pytest_plugin`. It keeps the published contract
over made-up data, and fails on order. It checks requests by rules of its own: it imports nothing from the package.
"""

from __future__ import annotations

from airflow_provider_oleria.sandbox.calls import Call, Fault
from airflow_provider_oleria.sandbox.downloads import Expected
from airflow_provider_oleria.sandbox.server import Sandbox
from airflow_provider_oleria.sandbox.settings import Settings

__all__ = ["Call", "Expected", "Fault", "Sandbox", "Settings"]
