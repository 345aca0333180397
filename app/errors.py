"""Every feature's errors, imported in one place, so that the page of codes shows them all."""

from app.core.errors import catalogue
from app.jobs import errors as _jobs

__all__ = ["_jobs", "catalogue"]
