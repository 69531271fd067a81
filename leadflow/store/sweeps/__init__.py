"""Sweeps: a scheduled rule over all records, page by page, as statements on sets."""
