"""Corpora: reading, cleaning, splitting, tokens and batches; start reading at load.load_data."""
