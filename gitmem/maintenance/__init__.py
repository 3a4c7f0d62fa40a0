"""Care of a memory: sweeping what has expired, and the doctor, who examines everything and mends what can be.

`findings` is what the doctor says; `leftovers` (locks, half-written files), `surroundings` (folders, settings,
rights), `heads` (refs), `storage` (every object once) and `damage` (the harm of what is bad there), `survey` (the
paths of a tree), `contents` (the files at them), `mending` (the one commit that puts a tree right) are what he does.
Law: nothing is removed that only might be useless. What belongs to another program goes after a question alone,
and a second repair finds nothing to do.
"""

from __future__ import annotations

from gitmem.maintenance.examining import doctor
from gitmem.maintenance.findings import DoctorReport, Finding, never
from gitmem.maintenance.sweeping import sweep

__all__ = ["DoctorReport", "Finding", "doctor", "never", "sweep"]
