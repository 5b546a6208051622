"""The Airflow Connection: checked settings, and the form in the UI."""
