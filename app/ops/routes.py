"""`/health/live`, `/health/ready`, `/metrics`."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Any

from flask import Response, current_app, jsonify, request
from marshmallow import Schema, fields
from redis import Redis

from app.core.errors import Unauthenticated
from app.core.http.blueprint import Blueprint
from app.core.http.guard import public
from app.core.http.unit_of_work import current_session
from app.core.metrics import Metrics
from app.ops.services.health import check_all

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"

blueprint = Blueprint("ops", __name__, description="Health and metrics")
BLUEPRINTS = (blueprint,)


@dataclass(frozen=True)
class OpsEdge:
    """What the factory hands these routes; without a token /metrics is closed."""

    broker: Redis
    cache: Redis
    metrics: Metrics
    metrics_token: str | None = field(repr=False)


class CheckSchema(Schema):
    """One check of readiness."""

    name = fields.String()
    ok = fields.Boolean()
    needed = fields.Boolean()
    fault = fields.String(allow_none=True)


class LiveSchema(Schema):
    """The process answers."""

    status = fields.String()


class ReadinessSchema(Schema):
    """Whether to send requests here."""

    status = fields.String()
    checks = fields.List(fields.Nested(CheckSchema))


def edge() -> OpsEdge:
    """This app's ops edge."""
    found: OpsEdge = current_app.extensions["ops"]
    return found


@blueprint.route("/health/live", methods=["GET"])
@public
@blueprint.response(200, LiveSchema)
def live() -> dict[str, Any]:
    """The process answers."""
    return {"status": "live"}


@blueprint.route("/health/ready", methods=["GET"])
@public
@blueprint.response(200, ReadinessSchema)
@blueprint.alt_response(503, schema=ReadinessSchema, description="Not ready: which check failed, and why")
def ready() -> Response:
    """The database answers, jobs start and schedules fire; 503 with the reason otherwise."""
    checks = check_all(current_session(), broker=edge().broker, cache=edge().cache)
    good = all(check.fault is None for check in checks if check.needed)
    shown = [
        {"name": check.name, "ok": check.fault is None, "needed": check.needed, "fault": check.fault}
        for check in checks
    ]
    answer = jsonify({"status": "ready" if good else "not ready", "checks": shown})
    answer.status_code = 200 if good else 503
    return answer


@blueprint.route("/metrics", methods=["GET"])
@public
@blueprint.response(200, content_type="text/plain", description="Prometheus text; needs METRICS_TOKEN as bearer token")
def metrics() -> Response:
    """Prometheus metrics, for who holds the metrics token; closed when none is set."""
    token = edge().metrics_token
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not token or not hmac.compare_digest(given.encode(), token.encode()):
        raise Unauthenticated("Send the metrics token as a bearer token.")
    return Response(edge().metrics.exposition(current_session()), content_type=EXPOSITION)
