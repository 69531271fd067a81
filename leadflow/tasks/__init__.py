"""The Celery app and its tasks: doors, a transaction and a story each. The database holds the work."""
