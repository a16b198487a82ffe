"""When the nightly run is due: its time zone and its next time. The schedule itself is Prefect's (serving.py)."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

from media2dicom.errors import SettingsError
from media2dicom.settings import Nightly


def time_zone(nightly: Nightly) -> str:
    """The IANA time zone of the schedule: the one in the settings, else the machine's own."""
    from tzlocal import get_localzone_name

    return nightly.timezone or str(get_localzone_name() or "UTC")


def next_night(nightly: Nightly, now: datetime | None = None) -> datetime:
    """The next time after `now`, in the schedule's time zone. Raises SettingsError when cron cannot be understood."""
    croniter: Any = import_module("prefect._vendor.croniter").croniter  # untyped; what Prefect itself goes by
    try:
        zone = ZoneInfo(time_zone(nightly))
        found = croniter(nightly.cron, now or datetime.now(zone)).get_next(datetime)
    except (ValueError, KeyError, OSError):  # croniter's own errors are ValueErrors
        raise SettingsError(
            f"nightly.cron: {nightly.cron!r} is no cron schedule.",
            next_step='Give minute, hour, day, month and weekday, such as "0 2 * * *" for two at night.',
        ) from None
    return datetime.fromtimestamp(found.timestamp(), zone)
