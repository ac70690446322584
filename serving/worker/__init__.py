"""The model in a process of its own: it shares neither interpreter nor fate with the event loop that asks it."""
