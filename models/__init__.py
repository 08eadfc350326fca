"""How a decision is scored and explained."""
