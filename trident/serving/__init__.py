"""Starting a real Redis and a real Triton on this machine."""
