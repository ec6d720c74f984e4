"""Choices that are the user's."""

from __future__ import annotations

import os

winograd = os.environ.get("TINYGRAD_COURSE_WINOGRAD", "1") != "0"
