"""What every Prefect process of ours is told: nothing about this site leaves it, logs are plain text, no pickles."""

from __future__ import annotations

from typing import Final

QUIET: Final = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_COLORS": "false",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",  # what is raised is written to disk: never as a pickle
}
