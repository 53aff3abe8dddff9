"""Keys and values of finished takes, and how takes become latents again."""
