"""What leaves the system: signed webhooks and notifications, at least once, in order per company."""
