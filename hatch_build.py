"""Gives the package the address of its repository: the links of README.md on PyPI, and the project's URLs.

The address comes from the environment variable ``REPOSITORY_URL``, which the release workflow sets. Without it the
links stay relative.
"""

import os
import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)(\[[^\]]*\]\()(?!https?:|#)([^)]+\))")


class RepositoryMetadata(MetadataHookInterface):
    """Sets ``readme`` and ``urls``."""

    def update(self, metadata: dict) -> None:
        """Add the two fields to the project's metadata."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        url = os.environ.get("REPOSITORY_URL", "").rstrip("/")
        metadata["urls"] = {}
        if url:
            text = LINK.sub(
                lambda link: f"{link[1]}{link[2]}{url}/{'raw' if link[1] else 'blob'}/main/{link[3]}", text
            )
            metadata["urls"] = {
                "Documentation": f"{url}/blob/main/docs/getting-started.md",
                "Source": url,
                "Issues": f"{url}/issues",
                "Changelog": f"{url}/blob/main/CHANGELOG.md",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
