"""Hostile requests on a running service: what is sent, how it is sent, and what must come back."""
