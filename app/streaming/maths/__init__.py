"""Pure: the grammar of topics, and what goes over the wire."""
