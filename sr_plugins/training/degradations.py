"""The degradations that come with us."""

from collections.abc import Iterable

from sr_plugins.hookspecs import hookimpl
from sr_plugins.model_spec import DegradationSpec
from sr_plugins.training import blur, compression, noise, resize
from sr_plugins.training.second_order import second_order


@hookimpl
def sr_degradations() -> Iterable[DegradationSpec]:
    for name, build in (
        ("bicubic", resize.bicubic),
        ("area", resize.area),
        ("lanczos", resize.lanczos),
        ("kernel", blur.kernel_blur),
        ("chroma_subsampling", compression.chroma_subsampling),
    ):
        yield DegradationSpec(name=name, build=build, random=False)
    for name, build in (
        ("gaussian_blur", blur.gaussian_blur),
        ("motion_blur", blur.motion_blur),
        ("ringing", blur.ringing),
        ("gaussian_noise", noise.gaussian_noise),
        ("poisson_noise", noise.poisson_noise),
        ("jpeg", compression.jpeg),
        ("video", compression.video),
        ("second_order", second_order),
    ):
        yield DegradationSpec(name=name, build=build)
