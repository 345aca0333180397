"""What the chain feature decides: pure functions of their arguments."""
