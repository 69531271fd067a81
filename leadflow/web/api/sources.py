"""Inbound sources; secrets are written, never read back."""
