"""Evaluation of models and cameras, with baselines."""
