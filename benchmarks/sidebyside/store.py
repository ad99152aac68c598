"""Measurements on disk: one JSON file a model, one for the machine. A run that was stopped goes on from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of JSON files. A file holds sections by name, such as ``latency/2`` or ``cold``."""

    folder: Path

    def read(self, name: str) -> dict[str, Any]:
        """All sections of a model, or of ``MACHINE``; none if there is no such file."""
        path = self._path(name)
        if not path.exists():
            return {}
        sections: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return sections

    def write(self, name: str, section: str, value: Any) -> None:
        """Add or replace one section."""
        self.folder.mkdir(parents=True, exist_ok=True)
        sections = {**self.read(name), section: value}
        temporary = self._path(name).with_suffix(".tmp")
        temporary.write_text(json.dumps(sections, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        temporary.replace(self._path(name))

    def models(self) -> list[str]:
        """Names of the models that have a file."""
        return sorted(path.stem for path in self.folder.glob("*.json") if path.stem != MACHINE)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"
