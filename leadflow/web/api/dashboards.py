"""Dashboards and the numbers of their tiles."""
