"""Values out of TOML files: what is a number, a pair, an option, and what is told where one is not."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_plugins.errors import RecipeError
from sr_plugins.training.tables import call_with, check_range, draw, is_number, read_table


@pytest.mark.parametrize("value", [True, False, float("nan"), float("inf"), "1", None, [1]])
def test_what_is_no_number(value: object) -> None:
    assert not is_number(value)
    with pytest.raises(ValueError, match=r"sigma = .* is neither a number nor a pair"):
        check_range("sigma", value, 0, 10)


@pytest.mark.parametrize("value", [-0.1, 10.5, [3, 2], [0, 11], [-1, 4], [1, 2, 3], [], [1, True]])
def test_pairs_go_up_and_stay_within_their_limits(value: object) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 10"):
        check_range("sigma", value, 0, 10)


@settings(max_examples=40, deadline=None)
@given(low=st.floats(0, 5), width=st.floats(0, 5), seed=st.integers(0, 99))
def test_draws_lie_in_their_pair_and_numbers_draw_nothing(low: float, width: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    check_range("x", [low, low + width], 0, 10)
    assert low <= draw(rng, (low, low + width)) <= low + width
    before = rng.bit_generator.state
    assert draw(rng, low) == low
    assert rng.bit_generator.state == before


def test_options_are_held_against_what_is_taken() -> None:
    def build(scale: int, sigma: float, angle: float = 0.0) -> tuple[int, float, float]:
        return scale, sigma, angle

    def anything(scale: int, **options: float) -> dict[str, float]:
        return options

    assert call_with(build, "blur", {"scale": 2}, {"sigma": 1.0}) == (2, 1.0, 0.0)
    assert call_with(anything, "any", {"scale": 2}, {"whatever": 1.0}) == {"whatever": 1.0}
    with pytest.raises(RecipeError, match=r"blur has no option sigmas; there is sigma, angle"):
        call_with(build, "blur", {"scale": 2}, {"sigmas": 1.0})
    with pytest.raises(RecipeError, match=r"blur has no option scale"):
        call_with(build, "blur", {"scale": 2}, {"scale": 1, "sigma": 1.0})
    with pytest.raises(RecipeError, match=r"blur needs sigma = \.\.\."):
        call_with(build, "blur", {"scale": 2}, {})


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot read .*none\.toml: No such file"):
        read_table(tmp_path / "none.toml")
    for content in (b"a = ", b"\xff\xfe"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(RecipeError, match=r"bad\.toml is not TOML"):
            read_table(tmp_path / "bad.toml")
    (tmp_path / "good.toml").write_text("[a]\nb = 1\n")
    assert read_table(tmp_path / "good.toml") == {"a": {"b": 1}}
