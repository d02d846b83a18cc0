"""Open the studio in the user's browser."""

from __future__ import annotations

import os
import sys
import webbrowser


def open_in_browser(address: str) -> None:
    """Open the address if there is a desktop."""
    if sys.platform in ("win32", "darwin") or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        webbrowser.open(address)
