"""The definitions of the 120 ranking features, shared by training and serving."""
