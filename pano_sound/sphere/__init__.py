"""Angles, unit vectors and pictures on the sphere: the one convention, distances and means, and views into
an equirectangular picture. All angles are converted here and only here."""
