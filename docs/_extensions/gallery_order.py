"""The order of a gallery's pages: that of the links in its header."""

import re
from pathlib import Path


class GalleryOrder:
    """Key of a page: its place in GALLERY_HEADER.rst, and after them all others by name."""

    def __init__(self, source_folder):
        self._header = Path(source_folder, "GALLERY_HEADER.rst")

    def __call__(self, file_name):
        """Return the key of the page of an example."""
        names = re.findall(r"<(plot_\w+)>`", self._header.read_text(encoding="utf-8"))
        name = Path(file_name).stem
        return (names.index(name) if name in names else len(names), file_name)
