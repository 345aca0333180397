"""What strikes, by topic: each function prepares, lets the clients loose, strikes, and heals what it broke."""
