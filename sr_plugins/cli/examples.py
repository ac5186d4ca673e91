"""What stands below a command's options: lines to be copied. A test sees that each is one that ``srp`` takes."""

from __future__ import annotations


def examples(*lines: str, more: str = "") -> str:
    """The end of a help page; ``more`` stands before the examples."""
    listed = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
    return f"{more}\n\n{listed}" if more else listed
