"""Intervals as `asr-api calibrate` has them."""

from asr_api.calibration.bootstrap import Interval, difference, error_rate

__all__ = ["Interval", "difference", "error_rate"]
