"""What a run leaves: metrics, plots, report, model card, bundle."""
