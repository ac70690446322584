"""Training: from a configuration to a sealed bundle; start reading at `run.py`."""
