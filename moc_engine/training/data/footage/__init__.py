"""Training data made of footage: clips and cuts, their captions, and the cache of latents and text states."""
