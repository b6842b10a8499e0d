"""Readers for data sets of pictures and sounds, in their usual layouts, as examples for training and evaluation."""
