"""Putting releases into a model repository and the server that serves it, and going back."""
