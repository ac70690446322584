"""How the loss is minimised: optimiser, rates by layer, schedule, average of the weights."""
