"""The append-only log of records, in published formats."""
