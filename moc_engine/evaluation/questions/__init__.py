"""One module per claim that is measured."""
