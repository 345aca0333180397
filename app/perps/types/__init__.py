"""The words of the perps: `positions`, `markets`, `protocol` (what a file says of a contract), `health`."""
