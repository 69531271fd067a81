"""The journeys of the outside contract, against real processes."""
