"""Training of video models with Mixture of Contexts, on cached footage."""
