"""Whole libraries of footage: discovering films, recording what has been made, and the workers that make it."""
