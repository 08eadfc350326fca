"""Webhooks: what happened is told to systems outside, signed by Standard Webhooks, at least once."""
