"""Trident beside what one would build instead, over the same release."""
