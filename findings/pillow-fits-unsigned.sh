#!/usr/bin/env bash
# FITS has no unsigned 16 bits: by convention such pictures are stored as signed ones with BZERO 32768, to be added when they
# are read (FITS 4.0, 5.2.5). Pillow opens them and adds nothing, so that dark and bright change places in the middle.
#
# Seen with Pillow 13.0.0 on a file that astropy 7.2.0 wrote and reads back: 0, 1000, 40000, 65535 come as
# 32768, 33768, 7232, 32767. Expected: the numbers that were stored, or an error.
# Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install pillow==13.0.0 astropy==7.2.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import sys

import numpy as np
import PIL
from astropy.io import fits
from PIL import Image

stored = np.array([[0, 1000, 40000, 65535]], np.uint16)
fits.PrimaryHDU(stored).writeto("a.fits")
again = fits.getdata("a.fits").astype(int).ravel().tolist()
header = fits.getheader("a.fits")
read = np.asarray(Image.open("a.fits")).astype(int).ravel() % 65536
print("BITPIX", header["BITPIX"], "BZERO", header["BZERO"], "astropy", again, "Pillow", PIL.__version__, read.tolist())
sys.exit(not (again == stored.ravel().tolist() and read.tolist() == [32768, 33768, 7232, 32767]))
PYTHON
