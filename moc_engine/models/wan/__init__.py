"""The Wan family of video models."""
