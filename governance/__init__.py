"""What may be decided, who may change it, and the proof."""
