"""What differs between Airflow versions and ``apache-airflow-providers-common-compat`` does not cover."""

from __future__ import annotations

try:
    from airflow.sdk.exceptions import TaskDeferralTimeout
except ImportError:  # Airflow before 3.2
    from airflow.exceptions import TaskDeferralTimeout  # type: ignore[no-redef]  # the same, elsewhere

__all__ = ["TaskDeferralTimeout"]
