"""Measures that several questions share: reading takes, comparing them, and statistics."""
