"""The plugin's own tests: the model keeps every promise of its spec, the degradation does what it says."""

import numpy as np
from sr_plugins_example import scan_lines, sr_models

from sr_plugins.testing import check_model


def test_the_model_keeps_its_promises() -> None:
    for spec in sr_models():
        check_model(spec)


def test_every_second_line_is_darker() -> None:
    picture = np.full((6, 4, 3), 100, np.float32)
    result = scan_lines(2, depth=0.5)(picture, np.random.default_rng(0))
    assert sorted(result[:, 0, 0].tolist()) == [50, 50, 50, 100, 100, 100]
    assert abs(result[0] - result[1]).min() == 50
