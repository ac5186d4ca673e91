"""Old thumbnails, twice as large, with profile, EXIF and DPI kept, and a square preview of each.

python examples/pillow_thumbnails.py OUT picture.jpg animation.gif ...
"""

import sys
from pathlib import Path

from PIL import Image, ImageOps, ImageSequence

from gimp_bridge import SuperResolution, save_like, upscale_image


def main() -> None:
    out, *pictures = map(Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    for path in pictures:
        with Image.open(path) as picture:
            # the wrapper sees what a filter cannot: palettes, orientation, every frame of an animation
            larger = [upscale_image(frame, 2, model="fast") for frame in ImageSequence.Iterator(picture)]
            save_like(larger, out / path.name, picture)
            # and as any filter of Pillow's: a small square preview
            preview = ImageOps.fit(picture.convert("RGB"), (64, 64)).filter(SuperResolution(2, model="tiny"))
            preview.save(out / f"{path.stem}-preview.png")
        print(f"{path.name}: {picture.size[0]}x{picture.size[1]} -> {larger[0].size[0]}x{larger[0].size[1]}")


if __name__ == "__main__":
    main()
