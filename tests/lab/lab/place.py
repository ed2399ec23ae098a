"""Where things lie: the repository, the build folder, and the laboratory's own state."""

import os
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
REPOSITORY = FOLDER.parent.parent
BUILD = (REPOSITORY / os.environ.get("BUILD", "build")).resolve()

# These exist inside the namespaces only; /run is a tmpfs of our own there.
STATE = Path("/run/lab")
LOG = STATE / "log"


def packages():
    return BUILD / "lab" / "pkg"


def kept_logs(entry):
    """LOG is bound to this folder, so that the logs outlive the laboratory."""
    return BUILD / "lab" / "log" / entry
