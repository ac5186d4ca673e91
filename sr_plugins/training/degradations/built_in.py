"""The degradations that come with us."""

from collections.abc import Callable, Iterable

from sr_plugins.interface.degradation import Degradation, DegradationSpec
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.training.degradations import blur, compression, noise, resize
from sr_plugins.training.degradations import learned as learned_degradation
from sr_plugins.training.degradations.second_order import second_order

FIXED: dict[str, Callable[..., Degradation]] = {
    "bicubic": resize.bicubic,
    "area": resize.area,
    "lanczos": resize.lanczos,
    "kernel": blur.kernel_blur,
    "subsample": resize.subsample,
    "chroma_subsampling": compression.chroma_subsampling,
}
RANDOM: dict[str, Callable[..., Degradation]] = {
    "gaussian_blur": blur.gaussian_blur,
    "motion_blur": blur.motion_blur,
    "ringing": blur.ringing,
    "gaussian_noise": noise.gaussian_noise,
    "poisson_noise": noise.poisson_noise,
    "jpeg": compression.jpeg,
    "video": compression.video,
    "second_order": second_order,
    "learned": learned_degradation.learned,
}


@hookimpl
def sr_degradations() -> Iterable[DegradationSpec]:
    for name, build in (FIXED | RANDOM).items():
        yield DegradationSpec(name=name, build=build, random=name in RANDOM)
