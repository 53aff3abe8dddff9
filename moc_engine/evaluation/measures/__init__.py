"""Measures that several questions share."""
