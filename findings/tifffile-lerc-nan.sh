#!/usr/bin/env bash
# LERC has a mask for samples without a value. libtiff and GDAL keep NaN of floats in it, and give NaN again. tifffile asks
# its codec (imagecodecs) for the samples without the mask, and zeros come where NaN was: sea level, say, where a model of
# terrain has no height. Where the bands of a picture that is stored pixel by pixel have NaN in different places, libtiff
# stores them one after the other, each with its mask (GDAL's pull request 9548); tifffile takes them for pixels, and samples
# of all bands change places. Nothing is raised.
#
# Seen with tifffile 2026.11.8, imagecodecs 2026.10.10 on files that rasterio 1.5.2 (GDAL 3.12.2) wrote and reads back: 1, NaN,
# 3, 4 come as 1, 0, 3, 4; three bands 1, NaN, 3, 4; 5, 6, 7, 8; 9, 10, 11, 12 as 1, 4, 7, 10; 0, 5, 8, 11; 3, 6, 9, 12.
# Expected: NaN, and each sample in its place; or an error. Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install tifffile==2026.11.8 imagecodecs==2026.10.10 rasterio==1.5.2 numpy==2.5.5
cd "$folder"
venv/bin/python - <<'PYTHON'
import sys
import warnings

import numpy as np
import rasterio
import tifffile
from rasterio.errors import NotGeoreferencedWarning

warnings.simplefilter("ignore", NotGeoreferencedWarning)
print("tifffile", tifffile.__version__, "rasterio", rasterio.__version__, "GDAL", rasterio.__gdal_version__)
VALUES = np.arange(1, 13, dtype=np.float32).reshape(3, 2, 2)  # bands, rows, columns


def read(holes: list[tuple[int, int, int]], bands: int) -> tuple[bool, list[float], list[float]]:
    """Whether GDAL reads back what it wrote without loss; what was written and what tifffile reads, band by band."""
    written = VALUES[:bands].copy()
    for hole in holes:
        written[hole] = np.nan
    size = {"count": bands, "height": 2, "width": 2, "dtype": "float32"}
    coding = {"compress": "LERC", "max_z_error": 0, "interleave": "pixel"}
    with rasterio.open("a.tif", "w", driver="GTiff", **size, **coding) as file:
        file.write(written)
    with rasterio.open("a.tif") as file:
        outside = file.read()
    found = tifffile.imread("a.tif").reshape(2, 2, bands).transpose(2, 0, 1)
    return np.array_equal(outside, written, equal_nan=True), written.ravel().tolist(), found.ravel().tolist()


cases = {
    "no NaN": ([], 3, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    "gray, one NaN": ([(0, 0, 1)], 1, [1, 0, 3, 4]),
    "three bands, NaN in all": ([(0, 0, 1), (1, 0, 1), (2, 0, 1)], 3, [1, 0, 3, 4, 5, 0, 7, 8, 9, 0, 11, 12]),
    "three bands, NaN in one": ([(0, 0, 1)], 3, [1, 4, 7, 10, 0, 5, 8, 11, 3, 6, 9, 12]),
}
same = True
for name, (holes, bands, seen) in cases.items():
    outside, written, found = read(holes, bands)
    print(f"{name}: GDAL right {outside}; written {written}, tifffile {found}")
    same &= outside and found == seen
sys.exit(not same)
PYTHON
