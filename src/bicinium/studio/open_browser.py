"""Opening the page in the browser of whoever sits at this machine."""

from __future__ import annotations

import os
import sys
import webbrowser


def show(address: str) -> None:
    """Open the address, where there is a desktop to show it on."""
    if sys.platform in ("win32", "darwin") or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        webbrowser.open(address)
