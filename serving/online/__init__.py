"""What answers requests: batching, limits, errors, metrics and life cycle; without torch."""
