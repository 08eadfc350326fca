"""From what is known to what a page shows: pure functions, one module per page."""
