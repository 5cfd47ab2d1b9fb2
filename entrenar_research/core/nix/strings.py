"""Text as the language of Nix has it.

After the Nix manual, "String literal": within quotes, backslash, quote and `${` mean something; a line
ends in one way only; anything else is itself.
"""

from __future__ import annotations


def literal(text: str) -> str:
    """A string of the language of Nix that means `text`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${").replace("\r", "\\r")
    return f'"{escaped}"'
