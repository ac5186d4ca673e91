"""Which installed distributions offer plugins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, EntryPoint


def entry_points(found: Iterable[Distribution], group: str) -> Iterator[tuple[str, EntryPoint | Exception]]:
    """The entry points of ``group``, each with its distribution's name; an exception where metadata are damaged.

    A distribution that stands on the import path twice is met once. Some other package's broken metadata are not told.
    """
    seen: set[tuple[str, str]] = set()
    for distribution in found:
        owner = "an unnamed distribution"
        try:
            if f"[{group}]" not in (distribution.read_text("entry_points.txt") or ""):
                continue
            owner = distribution.metadata["Name"] or owner
            entries = [entry for entry in distribution.entry_points if entry.group == group]
        except Exception as error:
            yield owner, error
            continue
        for entry in entries:
            if (owner, entry.name) not in seen:
                seen.add((owner, entry.name))
                yield owner, entry
