"""Model families, how they are loaded, and the adapter to diffusers transformers."""
