"""What is known about an order, and since when."""
