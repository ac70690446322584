"""Adapting a bundle's decisions to other texts: recalibration, label shift, thresholds, and an honest estimate."""
