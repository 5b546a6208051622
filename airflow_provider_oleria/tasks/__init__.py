"""What the operators and the sensor share as Airflow tasks: resuming a download, deferral, errors."""
