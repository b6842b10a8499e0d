"""Whole libraries of footage: which films there are, what has been made of each, and the making."""
