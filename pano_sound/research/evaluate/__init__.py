"""Measurements of localization, with the baselines that a reader needs beside them."""
