"""Training of the embedded model from generated stories."""
