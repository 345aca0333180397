"""The routes of accounts, by topic; `BLUEPRINTS` is what the factory registers."""

from __future__ import annotations

from app.accounts.routes import api_keys, audit, auth, users

BLUEPRINTS = (auth.blueprint, auth.me_blueprint, api_keys.blueprint, users.blueprint, audit.blueprint)
