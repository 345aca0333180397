"""What stops the stack from starting. Each message is one sentence with a way out; `manage.py` prints it, exit 1."""

from __future__ import annotations

from app.core.errors import AppError


class OpsError(AppError):
    """Something on this machine stands in the way."""

    code = "ops.error"
    status = 503


class ServerFailed(OpsError):
    """A server did not start."""

    code = "ops.server_failed"


class PortTaken(OpsError):
    """A port that Watchkeeper needs is taken."""

    code = "ops.port_taken"


class AlreadyRunning(OpsError):
    """Watchkeeper already runs in this folder."""

    code = "ops.already_running"
    status = 409


class RunFolderUnusable(OpsError):
    """The run folder cannot be made, or belongs to another user."""

    code = "ops.run_folder_unusable"


class UnknownRole(OpsError):
    """There is no role of that name."""

    code = "ops.unknown_role"
    status = 404


class SettingsInvalid(OpsError):
    """The settings are not valid."""

    code = "ops.settings_invalid"


class DatabaseUnreachable(OpsError):
    """The database does not answer."""

    code = "ops.database_unreachable"
    retryable = True


class DatabaseNotMigrated(OpsError):
    """The database's tables are not the newest."""

    code = "ops.database_not_migrated"
