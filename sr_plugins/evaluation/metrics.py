"""The metrics that come with us."""

from collections.abc import Iterable

from sr_plugins.evaluation import lpips, stlpips, warping
from sr_plugins.evaluation.flicker import flicker
from sr_plugins.evaluation.niqe import niqe
from sr_plugins.evaluation.psnr import psnr
from sr_plugins.evaluation.ssim import ms_ssim, ssim
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.metric import MetricSpec


@hookimpl
def sr_metrics() -> Iterable[MetricSpec]:
    yield MetricSpec(name="psnr", build=lambda: psnr, decimals=2)
    yield MetricSpec(name="psnr-rgb", build=lambda: psnr, channels="rgb", decimals=2)
    yield MetricSpec(name="ssim", build=lambda: ssim)
    yield MetricSpec(name="ms-ssim", build=lambda: ms_ssim)
    yield MetricSpec(name="niqe", build=lambda: niqe, larger_is_better=False, reference=False)
    yield MetricSpec(name="lpips", build=lpips.build, channels="rgb", larger_is_better=False, missing=lpips.missing)
    yield MetricSpec(
        name="stlpips", build=stlpips.build, channels="rgb", larger_is_better=False, missing=stlpips.missing
    )
    yield MetricSpec(name="flicker", build=lambda: flicker, larger_is_better=False, clip=True)
    yield MetricSpec(name="warping", build=warping.build, larger_is_better=False, clip=True, missing=warping.missing)
