"""Losses over logits and multi-hot targets; entries that nobody annotated have no part in them."""
