"""The queue over HTTP: jobs, schedules, and what both need to answer."""

from app.jobs.routes.jobs import blueprint as jobs
from app.jobs.routes.schedules import blueprint as schedules

BLUEPRINTS = (jobs, schedules)
