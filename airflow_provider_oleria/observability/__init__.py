"""Asset events, lineage, metrics and traces. None of them ever fails a task."""
