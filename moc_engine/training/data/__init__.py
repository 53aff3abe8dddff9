"""Training data: generated stories."""
