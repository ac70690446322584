"""What one CUDA card does with training and inference, in a few minutes and without a network."""
