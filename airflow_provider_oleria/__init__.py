"""Apache Airflow provider for the Oleria API."""

__version__ = "0.1.0"
