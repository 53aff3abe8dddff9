"""VBench's dimensions of clips, shot by shot, and measures of our own that need no weights."""
