"""Draws scenes with Skia in a paper-cut style: characters, props, sets and weather."""
