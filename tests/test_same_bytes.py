"""A change that is not about pixels changes no byte: 62 outputs of all hosts equal the stored digests.

The digests are of the commit before the rooms were built (c5130a0), but for those of ``tiny`` and ``realtime``, whose
weights have learnt since to keep flat colours up to the border. They hold where the machine's arithmetic is that of the
machine that made them, which ``same_bytes.probe`` tells; elsewhere the test skips and says what differs. To compare
there, write them on the commit before (OMP_NUM_THREADS=1 python tests/same_bytes.py > tests/same_bytes.json). A change
that is meant to change pixels does so too, and says which cases and why.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

STORED = Path(__file__).with_name("same_bytes.json")


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_same_bytes_as_before(one_thread: None) -> None:
    pytest.importorskip("vapoursynth")
    import same_bytes

    stored = json.loads(STORED.read_text())
    assert len(stored["digests"]) >= 60
    here = same_bytes.probe()
    if differ := [f"{n} {here.get(n)}, not {value}" for n, value in stored["probe"].items() if here.get(n) != value]:
        pytest.skip(f"the stored digests are of other arithmetic: {'; '.join(differ)}")
    made = dict(same_bytes.digests())
    assert made == stored["digests"], sorted(n for n in made if made[n] != stored["digests"].get(n))
