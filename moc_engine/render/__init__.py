"""Renders one shot: preparation, memory, denoising, decoding and tracing."""
