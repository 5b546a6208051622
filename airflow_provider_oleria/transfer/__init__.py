"""From a presigned URL to a checked file at its destination; ``pipeline.py`` puts the parts together."""
