"""Chunk layout, routing and attention over selected chunks, with one registry of backends."""
