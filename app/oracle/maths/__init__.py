"""Pure parts of the oracle: the update's layout, its verification, price arithmetic, validity."""
