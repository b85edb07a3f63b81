"""What counts as a database that is away, among all that its libraries raise."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from application.ports import DatabaseAway

AWAY = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, OSError, TimeoutError)
# Classes of SQLSTATE: no connection, wrong password, no such database, deadlock, full, not ready, told to stop, disk.
AWAY_STATES = ("08", "28", "3D", "40", "53", "55", "57", "58")
READ_ONLY = "25006"  # a server that was demoted


@contextmanager
def away() -> Iterator[None]:
    """A database that is gone, full, read-only or too slow is `DatabaseAway`; a mistake of ours stays an error."""
    try:
        yield
    except AWAY as error:
        raise DatabaseAway from error
    except exc.DBAPIError as error:
        state = str(getattr(error.orig, "sqlstate", None) or "")
        if error.connection_invalidated or state == READ_ONLY or state.startswith(AWAY_STATES):
            raise DatabaseAway from error
        raise
