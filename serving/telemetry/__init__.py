"""What is measured while the service runs: metrics and drift; never a text."""
