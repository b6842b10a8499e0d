"""Pictures of sound maps and camera paths for people: the overlay, plots, and the report page."""
