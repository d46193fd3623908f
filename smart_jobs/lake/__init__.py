"""The Delta tables of a lake: read, written and committed."""
