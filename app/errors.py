"""Every feature's errors, imported in one place, so that the page of codes shows them all."""

from app.accounts import errors as _accounts
from app.chain import errors as _chain
from app.core.errors import catalogue
from app.jobs import errors as _jobs
from app.ops import errors as _ops
from app.oracle import errors as _oracle
from app.perps import errors as _perps
from app.streaming import errors as _streaming

__all__ = ["_accounts", "_chain", "_jobs", "_ops", "_oracle", "_perps", "_streaming", "catalogue"]
