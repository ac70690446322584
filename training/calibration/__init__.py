"""Temperatures, biases and thresholds, fitted on dev."""
