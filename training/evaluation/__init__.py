"""What a run leaves: figures, plots, report, model card, bundle."""
