"""What libraries log while frames are made: VSScript hears every level, and in threads that are not its own it writes
all to stderr, thousands of lines of what others say while they compile."""

from __future__ import annotations

import logging

import vapoursynth as vs


class _Warnings(logging.Filter):
    """In threads that belong to no script: warnings, and what we say ourselves."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written."""
        if record.levelno >= logging.WARNING or record.name.partition(".")[0] == "sr_plugins":
            return True
        try:
            vs.get_current_environment()
        except RuntimeError:
            return False
        return True


_warnings = _Warnings()


def keep_chatter_out() -> None:
    """Stand before the handler that VSScript gives every script; nothing is changed in other hosts."""
    for handler in logging.getLogger().handlers:
        if type(handler).__module__ == vs.__name__:
            handler.addFilter(_warnings)  # once: it is the same
