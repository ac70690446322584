"""The classifier: built, tuned in full or in part, and run over a split."""
