"""Text in the language of Nix: Nix itself reads it back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from entrenar_research.core.nix import strings
from entrenar_research.tools import nix
from tests import closures

TEXTS = (
    "", "plain", "a b", 'a "b"', "back\\slash", "\\n", "${x}", "$${x}", "$$${x}", "\\${x}", "größe 日本", "a\nb",
    "a\r\nb", "a\rb", "\t", "''", "#", "$",
)  # fmt: skip


@pytest.mark.nix
def test_nix_reads_what_was_meant(tmp_path: Path) -> None:
    closures.need_nix()
    tool = nix.Nix(tmp_path / "conf", tmp_path / "store")
    expression = "[ " + " ".join(map(strings.literal, TEXTS)) + " ]"
    assert json.loads(tool.run(["nix-instantiate", "--eval", "--strict", "--json", "-E", expression]).text) == [*TEXTS]
