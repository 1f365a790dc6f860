# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Freeze windows: times in which nothing is promoted, on the clock of a named time zone.

A window is {name, timezone, services (default: all)} with either ``from`` and ``until`` as local dates and times
(``2026-12-20T00:00``), or ``days`` (mon … sun), ``from`` and ``until`` as local times (``16:00``) for one that comes
every week; there an ``until`` that is not later than ``from`` is on the next day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..errors import GoldenGooseError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_KEYS = frozenset({"name", "timezone", "services", "days", "from", "until"})


def check_window(window: Any) -> None:
    """Refuse a window that cannot be understood; one that is misread would freeze nothing.

    :raises GoldenGooseError: naming the window and what is expected.
    """
    values = window if isinstance(window, Mapping) else {}
    name = values.get("name")
    unknown = sorted(set(values) - _KEYS)
    if not isinstance(name, str) or not name or unknown:
        raise GoldenGooseError(
            f"A freeze window is {window!r}; expected name, timezone, from and until, and if wanted days and services."
        )
    try:
        zone = ZoneInfo(str(values["timezone"]))
        if "days" in values:
            if not values["days"] or not set(values["days"]) <= set(_DAYS):
                raise ValueError(f"days are {values['days']!r}, not some of {', '.join(_DAYS)}")
            time.fromisoformat(values["from"]), time.fromisoformat(values["until"])
        elif _local(values["from"], zone) >= _local(values["until"], zone):
            raise ValueError("until is not after from")
    except (KeyError, ValueError, TypeError, ZoneInfoNotFoundError) as error:
        raise GoldenGooseError(
            f"The freeze window '{name}' cannot be understood ({error}); expected a timezone such as Europe/Berlin, "
            "and from and until as 2026-12-20T00:00, or with days as 16:00."
        ) from error


def frozen_until(windows: Iterable[Mapping[str, Any]], service: str, now: datetime) -> tuple[str, datetime] | None:
    """Return name and end of the window that ``service`` is in at ``now`` (aware), the latest to end; else None."""
    ends = [
        (end, str(window["name"]))
        for window in windows
        if not window.get("services") or service in window["services"]
        if (end := _end(window, now)) is not None
    ]
    return (max(ends)[1], max(ends)[0]) if ends else None


def _end(window: Mapping[str, Any], now: datetime) -> datetime | None:
    zone = ZoneInfo(str(window["timezone"]))
    if "days" not in window:
        begin, end = _local(window["from"], zone), _local(window["until"], zone)
        return end if begin <= now < end else None
    opens, closes = time.fromisoformat(window["from"]), time.fromisoformat(window["until"])
    today = now.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        if _DAYS[day.weekday()] not in window["days"]:
            continue
        begin = datetime.combine(day, opens, zone)
        end = datetime.combine(day + timedelta(days=int(closes <= opens)), closes, zone)
        if begin <= now < end:
            return end
    return None


def _local(text: str, zone: ZoneInfo) -> datetime:
    value = datetime.fromisoformat(text)
    if value.tzinfo is not None:
        raise ValueError(f"{text} names a time zone of its own")
    return value.replace(tzinfo=zone)
