"""Run pip-audit, and say so if its database cannot be reached: ``audit.py PATH-OF-PIP-AUDIT``.

Exit status 0 if no vulnerability is known, or if the database cannot be reached; 1 otherwise.
"""

from __future__ import annotations

import subprocess
import sys

_SECONDS = 120
_UNREACHABLE = (
    "ConnectionError", "Max retries exceeded", "ServiceError", "timed out",
    "could not be audited",  # by an index of packages that is no database of vulnerabilities
)  # fmt: skip


def main() -> int:
    """Run the audit of the environment of the program that is named."""
    command = [sys.argv[1], "--progress-spinner", "off", "--skip-editable", "--timeout", "10"]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        print(f"audit skipped: no answer of the database in {_SECONDS} seconds")
        return 0
    if any(sign in ended.stdout + ended.stderr for sign in _UNREACHABLE):
        print("audit skipped: the database of vulnerabilities cannot be reached")
        return 0
    print(ended.stdout + ended.stderr)
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
