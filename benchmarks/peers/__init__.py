"""Servers to compare with: a pipeline behind FastAPI, a bare one, and BentoML's own batching, with the same answers."""
