"""Formulas and decisions of the perps: exact integers in wad, their arguments only."""
