"""The contracts on a real node, the encoder against a real update, and the price server over HTTP."""
