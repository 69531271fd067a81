"""Boards: their lanes, and the cards in them."""
