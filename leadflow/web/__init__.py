"""The web floor: inbound hooks, the API, the screens, and who may use them."""
