"""A picture of an estimate: the kernel, and the spectrum it was read from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sr_plugins.errors import DataError, PluginError
from sr_plugins.training.estimation.estimation import Estimate
from sr_plugins.training.estimation.source import Source, luma
from sr_plugins.training.spectrum import profile
from sr_plugins.version import extra_command
from sr_plugins.whole_file import whole_file


def check_plot(path: Path) -> None:
    """``PluginError`` without matplotlib (the extra ``plot``), ``DataError`` where it knows no picture of this name.

    To be asked before anything is estimated.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    except ImportError as error:
        raise PluginError(f"--plot needs matplotlib: {extra_command('plot')}") from error
    known = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix and path.suffix.lower().removeprefix(".") not in known:
        raise DataError(f"{path}: {path.suffix} plots cannot be written: name it .png, .svg or .pdf")


def plot_estimate(estimate: Estimate, sources: Sequence[Source], path: Path) -> None:
    """Write the figure; raises as :func:`check_plot` does, and ``DataError`` where it cannot be written."""
    check_plot(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    kernel = estimate.kernel
    if kernel is not None:
        left.imshow(kernel, cmap="magma")
        left.set(title="kernel at high resolution", xlabel="pixels", ylabel="pixels")
    else:
        shape = estimate.blur.shape if estimate.blur else "bicubic (assumed)"
        left.text(0.5, 0.5, f"no blur beyond\n{shape}", ha="center", va="center", fontsize=14)
        left.set_axis_off()
    spectra = [profile(luma(frame)) for source in sources for frame in source.frames]
    frequency = np.linspace(0, 0.5, len(spectra[0][0]))
    for axis, name, color in ((0, "vertical", "tab:blue"), (1, "horizontal", "tab:orange")):
        mean = np.mean([s[axis] for s in spectra], axis=0)
        right.semilogy(frequency[1:], mean[1:] + 1e-3, color=color, label=name)
    if estimate.noise.sigma > 0:
        right.axhline(estimate.noise.sigma**2, color="tab:gray", linestyle="--", label="noise")
    if estimate.enlargement.factor > 1:
        limit = 0.5 / estimate.enlargement.factor
        right.axvline(limit, color="tab:red", linestyle=":", label=f"enlarged by {estimate.enlargement.factor:.3g}")
    right.set(title="power spectrum", xlabel="cycles per pixel", ylabel="power, code values squared")
    right.legend()
    try:
        with whole_file(path) as temporary:
            figure.savefig(temporary, dpi=100, format=None if path.suffix else "png")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot write {path}: {error}") from error
