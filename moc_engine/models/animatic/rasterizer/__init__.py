"""Draws scenes: characters, props, sets and weather as cut paper, with Skia."""
