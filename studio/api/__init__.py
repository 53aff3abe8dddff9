"""HTTP routes: request models, routers and access checks."""
