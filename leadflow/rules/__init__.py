"""The rule language: operators, conditions, actions, parsing and evaluation. Knows no database, queue or web."""
