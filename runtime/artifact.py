"""The ``.cnnc`` file: the door to its writer and reader. The layout is described in ``artifact_format``."""

from __future__ import annotations

from cnnc.runtime.artifact_reader import Artifact, load_artifact, open_artifact
from cnnc.runtime.artifact_sections import Section
from cnnc.runtime.artifact_writer import save_artifact, save_executable
from cnnc.runtime.portable import Portable

__all__ = ["Artifact", "Portable", "Section", "load_artifact", "open_artifact", "save_artifact", "save_executable"]
