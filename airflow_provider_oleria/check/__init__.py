"""Does a tenant's API behave as this package assumes? See ``python -m airflow_provider_oleria.check``."""
