"""From a signed-in client's POST to the row and back, through every process."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import requests

from tests.faults.ground import Ground
from tests.faults.scene import USUAL

pytestmark = pytest.mark.flow


def test_a_job_goes_from_post_to_row_and_back(ground: Ground, client: Mapping[str, str]) -> None:
    ground.stage(USUAL)
    job = {"kind": "jobs.probe", "params": {"steps": 3, "note": "hello"}}
    answer = requests.post(f"{ground.url}/v1/jobs", json=job, headers=client | {"Prefer": "wait=30"}, timeout=60)
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert answer.json()["result"] == {"steps": 3, "note": "hello", "resumed_from": 0}
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    line = next(line for line in ground.log("worker").splitlines() if "job_ended" in line and "jobs.probe" in line)
    for word in (answer.json()["id"], answer.json()["request_id"]):
        assert word in line
