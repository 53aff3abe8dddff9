"""Measuring what the embedded model remembers."""
