"""What a render attended to: the stored record (no torch), its recorder, and drift measures."""
