"""What was heard and planned, for people: the overlay, plots of a camera path."""
