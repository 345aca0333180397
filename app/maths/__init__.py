"""Pure formulas used by two or more features: arguments in, values out; no clock, randomness, settings or I/O."""
