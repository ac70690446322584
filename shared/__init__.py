"""What training and serving must agree on: labels, text, calibration, thresholds, metrics and the bundle."""
