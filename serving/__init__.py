"""From a sealed bundle to predictions: export, verification, offline prediction and the HTTP service."""
