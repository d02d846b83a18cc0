"""Pin the hashes of downloaded works: ``tools/pin_catalogue.py FOLDER``.

FOLDER is one that ``bicinium corpus fetch`` wrote. The hashes of its ``fetched.json`` go to the
column ``sha256`` of the catalogue. Look at the difference before you commit it: a hash that changes
means that the server sends another file.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

CATALOGUE = Path(__file__).parents[1] / "src" / "bicinium" / "data" / "catalogue.csv"


def pin(catalogue: Path, fetched: Path) -> int:
    """Write the hashes into the catalogue. Return the number of works that have one."""
    hashes = json.loads(fetched.read_text(encoding="utf-8"))
    with catalogue.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        names = list(dict.fromkeys([*(reader.fieldnames or ()), "sha256"]))
        rows = [row | {"sha256": hashes.get(row["path"], row.get("sha256", ""))} for row in reader]
    with catalogue.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return sum(bool(row["sha256"]) for row in rows)


if __name__ == "__main__":
    print(f"{pin(CATALOGUE, Path(sys.argv[1]) / 'fetched.json')} works have a hash")
