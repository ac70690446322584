"""Watching a run while it trains."""
