r"""What a citation format is. To add one, write `citations/<name>.py` that ends in `FORMAT: CitationFormat = ...`.

class Plain:
    name = "plain"
    file_name = "CITATION.txt"
    def render(self, study): return f"{study.authors[0].name}: {study.title}\n"

FORMAT: CitationFormat = Plain()
"""

from __future__ import annotations

from typing import Protocol

from entrenar_research.models.study import Study


class CitationFormat(Protocol):
    """Renders a study's description as one text file; pure, deterministic, no clock."""

    name: str
    file_name: str

    def render(self, study: Study) -> str:
        """The whole file, ending in a newline.

        Raises:
            InvalidFileError: if the study lacks what the format requires or holds a value it forbids.
        """
        ...
