"""How data becomes a model version."""
