"""What Airflow, and whoever listens to it, gets to know of an export: events of assets, lineage, links, metrics, spans."""
