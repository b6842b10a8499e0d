"""Training: batches, losses, recipes and checkpoints."""
