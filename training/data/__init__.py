"""Corpora: reading, cleaning, splitting, tokens and batches; `corpus.load_data` is the story."""
