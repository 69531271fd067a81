"""Inbound adapters: verify a signature, find the delivery id, read a body, map it to form fields. Presets are data."""
