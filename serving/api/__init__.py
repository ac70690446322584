"""What a request and its answer look like."""
