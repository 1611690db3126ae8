"""The 20 context features: time, device and region of a request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trident.contract import CONTEXT_FEATURES, DEVICES
from trident.features.registry import DAY, place

_HOURS = 2 * np.pi * np.arange(24) / 24
_WEEKDAYS = 2 * np.pi * np.arange(7) / 7
_DEVICE_CODES = {device: code for code, device in enumerate(DEVICES)}
_WEEKDAY_TYPE = np.array([0, 0, 0, 0, 1, 2, 2])
_THURSDAY = 3  # 1970-01-01


def hour_of(timestamps: np.ndarray) -> np.ndarray:
    """UTC hour of unix seconds, 0 to 23: same shape, int64."""
    return np.asarray(timestamps, np.int64) % DAY // 3600


def weekday_of(timestamps: np.ndarray) -> np.ndarray:
    """UTC weekday of unix seconds, 0 Monday to 6 Sunday: same shape, int64."""
    return (np.asarray(timestamps, np.int64) // DAY + _THURSDAY) % 7


def device_codes(devices: Sequence[str]) -> np.ndarray:
    """Codes of n devices by name, -1 for "" and others: (n,) int64."""
    return np.array([_DEVICE_CODES.get(device, -1) for device in devices], np.int64)


def context_rows(
    timestamps: np.ndarray, devices: Sequence[str] | np.ndarray, regions: np.ndarray, home_regions: np.ndarray
) -> np.ndarray:
    """Context rows of B requests: (B, 20) float32.

    `timestamps` (B,) int64 unix seconds; `devices` B names or (B,) int codes; `regions` and `home_regions` (B,) int
    codes. A code of -1, like the name "", is unknown: NaN in the code column, 0 in the one-hot columns.
    """
    codes = devices if isinstance(devices, np.ndarray) and devices.dtype.kind in "iu" else device_codes(list(devices))
    rows = _ROWS[weekday_of(timestamps), hour_of(timestamps), np.asarray(codes)]
    regions, homes = np.asarray(regions), np.asarray(home_regions)
    rows[:, _REGION] = _known(regions)
    rows[:, _AWAY] = np.where((regions < 0) | (homes < 0), np.nan, regions != homes)
    return rows


def _rows_without_region() -> np.ndarray:
    """The rows of every weekday, hour and device code, the last one unknown: (7, 24, 5, 20) float32."""
    weekdays, hours, codes = np.indices((7, 24, len(DEVICES) + 1)).reshape(3, -1)
    rows = np.empty((len(hours), CONTEXT_FEATURES), np.float32)
    _write_time(rows, hours, weekdays)
    _write_device(rows, np.where(codes == len(DEVICES), -1, codes))
    return rows.reshape(7, 24, len(DEVICES) + 1, CONTEXT_FEATURES)


def _write_time(rows: np.ndarray, hours: np.ndarray, weekdays: np.ndarray) -> None:
    angle, turn, part = _HOURS[hours], _WEEKDAYS[weekdays], hours // 6
    rows[:, place("context_hour")] = hours
    rows[:, place("context_hour_sin")] = np.sin(angle)
    rows[:, place("context_hour_cos")] = np.cos(angle)
    rows[:, place("context_weekday")] = weekdays
    rows[:, place("context_weekday_sin")] = np.sin(turn)
    rows[:, place("context_weekday_cos")] = np.cos(turn)
    rows[:, place("context_weekend")] = weekdays >= 5
    rows[:, place("context_weekday_type")] = _WEEKDAY_TYPE[weekdays]
    rows[:, place("context_part_of_day")] = part
    first = place("context_night")
    rows[:, first : first + 4] = part[:, None] == np.arange(4)


def _write_device(rows: np.ndarray, codes: np.ndarray) -> None:
    rows[:, place("context_device")] = _known(codes)
    first = place("context_mobile")
    rows[:, first : first + len(DEVICES)] = codes[:, None] == np.arange(len(DEVICES))


def _known(codes: np.ndarray) -> np.ndarray:
    return np.where(codes < 0, np.nan, codes)


_REGION, _AWAY = place("context_region"), place("context_away")
_ROWS = _rows_without_region()
