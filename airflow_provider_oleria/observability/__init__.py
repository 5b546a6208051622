"""What others are told of an export: asset events, lineage, metrics, traces. None of it ever fails the export."""
