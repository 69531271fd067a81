"""The proof: unit (no database), integration, acceptance (the journeys), browser, chaos."""
