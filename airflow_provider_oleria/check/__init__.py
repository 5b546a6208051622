"""Does a tenant's API behave as this package assumes? ``python -m airflow_provider_oleria.check`` finds out."""
