"""Learning from other models."""
