"""Make the network of :mod:`.kernel_estimation`: ``python -m sr_plugins.training.estimation.kernel_fit PICTURES``.

Pictures are shrunk by two with random kernels of the family, made noisy and now and then compressed; the network
learns the covariance's matrix logarithm with its uncertainty (Gaussian likelihood) and the shape of the kernel. It is
trained on the statistics alone, so that the whole run fits a laptop.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.nn import functional as F

from sr_plugins.pixels.antialiased import resize
from sr_plugins.training.estimation.kernel import BICUBIC_VARIANCE, CROP, SHAPES, WEIGHTS, features
from sr_plugins.training.picture_files import LUMA, list_pictures, read_rgb
from sr_plugins.training.spectrum import Floats, Luma

SCALE = 2
SAMPLES = 16  # of every picture
SIGMA = (0.25, 1.6)  # small pixels
# variance of the Gaussian with the filter's response at the small picture's Nyquist frequency, as BICUBIC_VARIANCE
VARIANCE = {
    "bicubic": BICUBIC_VARIANCE,
    "lanczos": BICUBIC_VARIANCE,
    "area": float(np.log(np.pi / 2) / (2 * np.pi**2 * 0.25)),
}


def degraded(picture: Luma, rng: np.random.Generator) -> tuple[Luma, Floats, int]:
    """A small picture, its kernel's covariance (in small pixels) as a logarithm (yy, yx, xx), the kernel's shape."""
    shape = SHAPES[int(rng.choice(len(SHAPES), p=[0.7, 0.14, 0.08, 0.08]))]
    if shape == "gaussian":
        logs = 2 * np.log(rng.uniform(*SIGMA, 2))
        if rng.random() < 0.25:
            logs[1] = logs[0]
        turn = rng.uniform(0, np.pi)
        vector = np.array([np.sin(turn), np.cos(turn)])
        log = logs[1] * np.eye(2) + (logs[0] - logs[1]) * np.outer(vector, vector)
        axes = np.exp(logs) * SCALE**2
        fy, fx = np.fft.fftfreq(picture.shape[0])[:, None], np.fft.rfftfreq(picture.shape[1])[None]
        along, across = fx * vector[1] + fy * vector[0], fx * vector[0] - fy * vector[1]
        response = np.exp(-2 * np.pi**2 * (axes[0] * along**2 + axes[1] * across**2))
        small = np.fft.irfft2(np.fft.rfft2(picture) * response, picture.shape)[::SCALE, ::SCALE]
    else:
        log = np.log(VARIANCE[shape]) * np.eye(2)
        small = resize(picture[..., None], picture.shape[0] // SCALE, picture.shape[1] // SCALE, shape)[..., 0]
    sigma = 0.0 if rng.random() < 0.3 else float(rng.uniform(0, 8)) * float(rng.random())
    noisy = np.clip(np.rint(small + rng.normal(0, 1, small.shape) * sigma), 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        buffer = io.BytesIO()
        Image.fromarray(noisy).save(buffer, "JPEG", quality=int(rng.integers(50, 97)))
        noisy = np.asarray(Image.open(buffer))
    inner = noisy[8:-8, 8:-8] if min(noisy.shape) > 2 * CROP // 3 else noisy
    return inner.astype(np.float32), np.array([log[0, 0], log[0, 1], log[1, 1]]), SHAPES.index(shape)


def samples(paths: list[Path], seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Features, targets and shapes of :data:`SAMPLES` random degradations of every picture."""
    rows, targets, shapes = [], [], []
    for i, path in enumerate(paths):
        whole = read_rgb(path) @ LUMA
        for n in range(SAMPLES):
            rng = np.random.default_rng([seed, i, n])
            picture = whole
            if rng.random() < 0.5:  # pictures differ in how sharp they are
                factor = rng.uniform(0.6, 1)
                height, width = (int(s * factor) for s in whole.shape)
                picture = resize(whole[..., None], height, width, "bicubic")[..., 0]
            side = 2 * (CROP if rng.random() < 0.7 else int(rng.integers(96, CROP))) + 32
            height, width = (min(side, s) // 2 * 2 for s in picture.shape)
            top, left = (int(rng.integers(s - c + 1)) for s, c in zip(picture.shape, (height, width), strict=True))
            crop = picture[top : top + height, left : left + width]
            if rng.random() < 0.5:
                crop = crop.T
            small, log, shape = degraded(np.ascontiguousarray(crop[:: rng.choice([-1, 1])]), rng)
            if small.std() < 3:
                continue
            rows.append(features(small))
            targets.append(log)
            shapes.append(shape)
        if i % 20 == 0:
            print(f"{i + 1} of {len(paths)} pictures", file=sys.stderr)
    return np.array(rows), np.array(targets, np.float32), np.array(shapes)


def fit(
    x: NDArray[np.float32], target: NDArray[np.float32], shape: NDArray[np.int64], steps: int = 6000
) -> dict[str, torch.Tensor]:
    """Train the network on features; returns its tensors."""
    torch.manual_seed(0)
    mean, deviation = x.mean(0), x.std(0) + 1e-3
    inputs = torch.from_numpy((x - mean) / deviation)
    wanted, classes = torch.from_numpy(target), torch.from_numpy(shape)
    layers = [nn.Linear(x.shape[1], 128), nn.Linear(128, 64), nn.Linear(64, 4 + len(SHAPES))]
    network = nn.Sequential(layers[0], nn.ReLU(), nn.Dropout(0.2), layers[1], nn.ReLU(), nn.Dropout(0.1), layers[2])
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        batch = torch.randint(len(inputs), (256,))
        rows = inputs[batch]
        out = network(rows + 0.05 * torch.randn_like(rows))
        error = (out[:, :3] - wanted[batch]).square() * torch.tensor([1.0, 2.0, 1.0])
        scale = out[:, 3].clamp(-8, 4)
        likelihood = (error.sum(1) / scale.exp() + 3 * scale).mean() / 2
        loss = likelihood + F.cross_entropy(out[:, 4:], classes[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    tensors = {"mean": torch.from_numpy(mean), "deviation": torch.from_numpy(deviation)}
    for i, layer in enumerate(layers):
        tensors |= {f"weight{i}": layer.weight.detach(), f"bias{i}": layer.bias.detach()}
    return {name: value.contiguous().float() for name, value in tensors.items()}


def main() -> None:
    """Train on a folder of pictures and write the network beside its code."""
    from safetensors.torch import save_file

    paths = list_pictures(Path(sys.argv[1]))
    save_file(fit(*samples(paths, seed=1)), WEIGHTS)
    print(WEIGHTS)


if __name__ == "__main__":
    main()
