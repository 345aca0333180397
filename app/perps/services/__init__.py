"""Use cases of the perps: protocol files, folds, health, scans, keeping, funding, reading."""
