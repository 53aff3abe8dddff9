"""Edits of a project as data: `apply` returns the edited project, `words` the name of the edit for undo.

Shots and takes are named by id. `apply` raises `BadStoryboard` for a value that breaks a rule, naming the
field, and `Refused` for an edit that is not possible now.
"""
