"""Who dies where: a strike lies in a file under its job's id, and the process that gets the job first takes it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from app.core.failpoints import arm

FOLDER = "WK_STRIKES"


@dataclass(frozen=True, slots=True)
class Strike:
    """A failpoint, its so-many-th passing, and what happens there."""

    name: str
    hit: int = 1
    action: str = "kill"


class Strikes:
    """The strikes of a run, in `folder`: waiting, taken by a process, and those that have struck."""

    def __init__(self, folder: Path):
        self._folder = folder
        for name in ("waiting", "taken", "struck"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def put(self, job_id: UUID, strike: Strike) -> None:
        """Let the first process that works on the job meet `strike`."""
        (self._folder / "waiting" / str(job_id)).write_text(json.dumps(asdict(strike)))

    def arm_for(self, job_id: str) -> bool:
        """Arm this process with the job's strike; False when it has none, or another process has met it."""
        taken = self._folder / "taken" / job_id
        try:
            os.rename(self._folder / "waiting" / job_id, taken)
        except FileNotFoundError:
            return False
        arm(**json.loads(taken.read_text()), once_file=str(self._folder / "struck" / job_id))
        return True

    def struck_at(self, job_id: UUID) -> float | None:
        """When the job's strike fell, in seconds since 1970; None while it has not."""
        try:
            return (self._folder / "struck" / str(job_id)).stat().st_mtime
        except FileNotFoundError:
            return None
