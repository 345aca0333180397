"""Issuing tickets (the API's side), and serving streams (the role's side): hub, connections, what ends them."""
