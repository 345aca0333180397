"""The command line's groups of verbs; `manage.py` has the single ones and puts all together."""
