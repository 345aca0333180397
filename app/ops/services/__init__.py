"""What starts, watches and stops the roles, and what tells of them."""
