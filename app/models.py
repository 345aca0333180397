"""Every feature's tables, imported in one place, so that migrations see the whole metadata."""

from app.accounts import models as _accounts
from app.chain import models as _chain
from app.core import events as _outbox
from app.core.db import Base
from app.jobs import models as _jobs
from app.oracle import models as _oracle
from app.perps import models as _perps

metadata = Base.metadata

__all__ = ["_accounts", "_chain", "_jobs", "_oracle", "_outbox", "_perps", "metadata"]
