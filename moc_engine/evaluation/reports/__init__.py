"""Plots and pages made of measured figures."""
