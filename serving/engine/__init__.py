"""The bundle in service, and what one process of the service shares: settings, keys, state."""
