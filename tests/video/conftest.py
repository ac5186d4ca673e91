"""What tests of films share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes import nearest

from sr_plugins import Upscaler


@pytest.fixture(scope="module")
def doubled() -> Iterator[Upscaler]:
    """Every pixel repeated: what a frame becomes is known without a network."""
    with Upscaler(nearest(), device="cpu") as upscaler:
        yield upscaler
