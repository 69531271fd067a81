"""The domain: categories and lead statuses, the guard, fields, records and what may happen to them. Pure Python."""
