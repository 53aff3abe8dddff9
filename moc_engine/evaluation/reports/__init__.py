"""Experiments that the report consists of, and the plots and pages made from their results."""
