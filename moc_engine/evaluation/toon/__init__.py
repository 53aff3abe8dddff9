"""What a toon model remembers, read in the pixels of its films."""
