"""JSON routes, a file per user."""
