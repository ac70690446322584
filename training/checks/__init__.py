"""Checks before anything expensive: environment, data, model and loss."""
