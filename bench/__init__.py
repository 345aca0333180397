"""What Watchkeeper is measured against and how: `baselines/` is other people's way to do the same."""
