"""Every job kind of this deployment: the features' menus, joined. The API, the dispatcher and beat use the same one."""

from __future__ import annotations

from app.chain import jobs as chain
from app.jobs import jobs
from app.jobs.types import Menu
from app.ops import jobs as ops
from app.oracle import jobs as oracle
from app.perps import jobs as perps

MENU = Menu.of(jobs.MENU, chain.MENU, oracle.MENU, perps.MENU, ops.MENU)
