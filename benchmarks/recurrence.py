"""How soon a recurrent network forgets how it began: ``python benchmarks/recurrence.py AnimeSR_v2.pth CLIP``.

Prints by how much the last of 18 frames (160x96 out of the clip) differs from the state that is as old as they.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch

from sr_plugins.weights.open_model import open_model

FRAMES, FIRST = 18, 290


def main(weights: Path, clip: Path) -> None:
    module = open_model(weights).torch().runnable()
    with av.open(str(clip)) as container:
        pictures = [p.to_ndarray(format="rgb24") for p in islice(container.decode(video=0), FIRST, FIRST + FRAMES + 1)]
    film = np.stack([picture[150:246, 300:460] for picture in pictures])
    frames = torch.from_numpy(film).permute(0, 3, 1, 2).float()[None] / 255
    with torch.inference_mode():
        whole = module(frames)
        for warm in (1, 2, 3, 4, 6, 8, 10):
            apart = (module(frames[:, FRAMES - 1 - warm :]) - whole) * 255
            mean, most = float(apart.square().mean().sqrt()), float(apart.abs().max())
            print(f"{warm} frames: {mean:.2f} codes RMS, {most:.1f} at most")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
