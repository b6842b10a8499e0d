"""Training of the localizer: data, losses, the loop."""
