"""The OpenAPI document as the API makes it, read by schemathesis: made once, of an app that is asked nothing else."""

from __future__ import annotations

import schemathesis

from app.factory import create_app
from config.settings import Settings

_app = create_app(Settings(_env_file=None))
api = schemathesis.openapi.from_dict(_app.extensions["flask-smorest"]["apis"][""]["ext_obj"].spec.to_dict())
