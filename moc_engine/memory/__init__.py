"""The memories of finished takes, and the token grid of a shot."""
