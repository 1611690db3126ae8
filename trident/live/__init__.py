"""Changes of single items while a release serves: in stock or not, flagged, blocked in a region."""
