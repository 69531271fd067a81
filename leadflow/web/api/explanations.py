"""Why a rule would or would not act on a record."""
