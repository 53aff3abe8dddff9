"""Storyboards, edits, plans and job states as plain data: the standard library only, no I/O, no clock."""
