"""The outside world of `make demo`: traders, a market that moves, an API client, and a judge who compares the
contract's own views with the database. Like the rest of contracts/ it knows the product from outside: by its addresses,
and by its tables.
"""
