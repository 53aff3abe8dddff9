"""Held-out stories, generated in batches for what is measured on them."""
