"""What is measured, always beside a peer or a limit in the same run: the machine's speed drifts, ratios stay."""
