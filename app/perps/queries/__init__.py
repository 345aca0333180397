"""All SQL of the perps."""
