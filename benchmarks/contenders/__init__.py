"""Who competes: one file a kind, each making what it runs, opening it, and saying why it cannot where it cannot."""
