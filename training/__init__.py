"""Training: from a configuration to a sealed bundle; `run.py` is the story."""
