"""Temperatures and thresholds, fitted on dev."""
