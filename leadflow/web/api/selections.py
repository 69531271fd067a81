"""Selections and their members."""
