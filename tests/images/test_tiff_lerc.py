"""TIFF files compressed with LERC against what GDAL, which wrote some of them, reads in them; others are coded here."""

import base64
import zlib
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from fakes import nearest
from numpy.typing import NDArray

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.files import upscale_file

HEIGHT, WIDTH, TILE = 20, 24, 16
# 3 x 3 pixels whose bands hold 1 to 9, 10 to 18 and 19 to 27 line by line, by GDAL 3.12.2, which reads them back so;
# the second pixel is NaN: of gray, of all bands (packed by Deflate), of the first alone (by Zstandard; in planes), of
# none in big endian, and clear in RGBA of 8 bits. Files packed by Deflate, in base 85.
BY_GDAL = {
    "gray": (
        "c-r&y)MDUZU|`^7U|?isU<9(5ftV4A%>-pDfcQ|hdj|sp8<Y*gf{ZL+S_MdmB8iJ3nIjHWQwqc~NNR$S)HEz%VkiRAn}GP!Q5FU!AiatK0"
        "$8B5jk}AZk8f&8VoG93q8*olf{kZMYOX?FVs5IflC!^WK#*&2u&2LYe2{CHYf!MKlc$eoNTiZNN`7u)W}dB*r>~>CYkY7>P^fcAXppOtos"
        "WNTun$m=jXuaAJ1!f2R2vw4Qj3y}6hQV1Gy4@W!@>xNIiMKiCpHFj@WCEJD>;DVm>Bl|XJ`QW5hyC)$OvILH~?uNUI4@gfcOCrGdO}2004"
        "33I2!"
    ),
    "in_all": (
        "c-r&y)MDUZU|`^7U|?isU<9(5ftV4A%>-nF=v5#-RNTFTfq@OmW&&bCMiwyJ07!@;=@mm_i$m3v0kI5J9E5|R=5GMvh9yi4ML>EV5Pv$#0"
        "ycXa0|Y35Au|}VK=s<VyEyvzrj{h8B$g!FaVaR+c$TE*D&!^RrrIhw`}+n2xdsP&`uoKPxrVt01$#Pq`gn#!Dk-Go=O$+6*(!PZI=Z{Y2Z"
        "scOI){V?xhmQD_y-630QK1DgAB6cve8GifuUl~XHQ)(v!H~;goFpN7hfOeS&}$|xvQVaP@385M*{!CwXzOHK0Lqw8=Dvym@v4C%1BD2F>G"
        "WI@Mm}=-Pf~1h>y>KXGu6iA@c-Th9%|<ADI-a89m-JJYsezW9(pi#O_eWJi(6f2#>=Z#v|eZIt&bkwesu$OtMm9"
    ),
    "in_one": (
        "c-r&y)MDUZU|`^7U|?isU<9(5ftV4A%>-nF=v5#-RNTFTfq@OmW&&bCMiwyJ07!@;=@mm_i$m3H0%94cI0y$r&EEjT4NI69ih%S!ApUfe1"
        "#I><1_)39LuN2!f!b^1?&9d<n_7~Xl30>x$EBcP<5`lLtB{wNn`*1%?C%>8<Qg38>F*aG<QnE06zu8b>Ejs^sicsSpPQJOXRGAt>*($p9~"
        "=@C>Kqap<f>%n;~yOC1Jq-q4>HJ(%SIp71_q6-`hOFm8C+QznmFaO3cM#BtNCzMOpW`Y-?NDI1@f;&m&B(nb>J+BN%ZeyjPMkEFV9$C|67"
        "-J@t(fp9~W)^XcBj9a)8{iCZ{Drt~zm5!u*eH_f&D7){A>A!o+%z<;mhi{eJCTD&f1bA`kjo@y=vf(Y!q9fhcqQIS0O;gUnLuOp_8gM1kS"
        "3>!XZAz|4~_j+;^)JIo^X%$~XMr_%06EvK1SZf{uj&sn<Njm2{Q+GKVBlTUTB"
    ),
    "planes": (
        "c-oDSy-UMT6vc0nQffg^L|q(0aOzU2qiIcALkT2pNm{|F2Ajd5Rr;}(jvXBxJ2;3_Cv|HPgpM5@T^xntKcMF&Pa4I+clmKnUhcgIo@u5iK"
        "}4%Wf<ywG1cZne;hEmCZ+>4K62-X}!MYF&dhWqyWOgg!xA~qi*on-#{Qe0HZbWKB=iuWx7W|)4c;ujZ)IsGj`~XrS+s!J*yVT;5ZrOg<Yj"
        "|BRmy~7I?D|c)<u(1RQYhOM$8cS<T&g?9vEjI8-n7i>i6S>Hn%;RUtC+T4H0o~EsTHa<$53)s*>x?<sA;w+msHa~6Ug%0XBnC0Z%C!K^!<"
        "V$!RdiG{XUDsP!%m6yu{>_26zG7uIWN(Gz|(yU<zIV>8xQHYQMctqM<81wDV`^t`=&BtBh?|ERLBypn(cF1(#p|hC$OZvOit){~x)}qYk)"
        "UW7`XhWM%|z!5BP(DVTwI(DVgx?OOr"
    ),
    "swapped": (
        "c-r&zWzb?^VBlcjWn^Gr2C^7IBqJjdn+ePY;Z=;x5b+LoAi)Mz!vrJ*8Cbw<21Wx$Q6#-$NNjPK8iv!1GEi}lj$pX?8<sSHOk*el;(bRyf"
        "z^Zf+ZaGV0SuWLAZ`H3G1$1fIQsaemL#SmmL%G7DJa-@mZat?<R#{&+A2Bw`vwHL1_yik`^5*jhPeg>dpddgc!oqODWv4*CT8Z@DtY=ky1"
        "T{)hXjQ>hlB>XD%tt?2M7BA_1Nfx46@_0(MPp`!6&sS*+>Cod1RW{a+t$Gm=hd~K+gd&8v_O~2a_Cgz_bGpJ1PM23?Tafke&d<H-KSb-+&"
        "|mQe*(c3xI4O#}R~A0NEfl0YJO~$Og(eCIImcAo~E2E&$>KP(wlLP5?2;oDLwq0K@_a%K)T7N`w"
    ),
    "alpha": (
        "c-r&y)MDUZU|`^5U|?isU<9(5ftV4A%>-n#0O@TYK2+SjgMon!%4Py$K}Hs^+9N<L3Ka+G5reWpSRBX(so4j_GDzY<Nah4X?YaQO4NI69i"
        "h%S3ApUfe1uTDq0RlLnFoGcr2!nvyS3!+nghCdmN*i|<M<3tRlEjq6l0-W$1qB<=lGI#<yu{p8TP0_I-+&<3;9yUGzxW{6FxQ}9PbW_w&y"
        "YwZg_Qi<#LPTfB~M>Rch~sfkf2cKkkBAkB|9Jg;9wu19vgj-L3Ug=`lvQA_@ovk8!3S7XZg;~3kyYNs1HG59Rc+@1U#^Z&>x_*sRJumem_"
        "G4BbP8Uk0>LALYQm#MROXmxy(>=!?2nw-~gd5z%&c57#qI?BamX{69=*org}+CJ3+juGEh^k!8E&oB&U!xBaq?{lmfB<|BOXa"
    ),
}


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


def enlarged(folder: Path, upscaler: Upscaler) -> Path:
    upscale_file(folder / "in.tif", folder / "out.tif", upscaler)
    return folder / "out.tif"


def coded(samples: NDArray[np.float32], there: NDArray[np.bool]) -> Iterator[bytes]:
    """Tiles of (height, width, bands); bands follow each other where ``there``, which samples count, has bands, too."""
    for top in range(0, HEIGHT, TILE):
        for left in range(0, WIDTH, TILE):
            here = slice(top, top + TILE), slice(left, left + TILE)
            part, mask = samples[here], there[here]
            filling = [(0, TILE - part.shape[0]), (0, TILE - part.shape[1])]
            part, mask = np.pad(part, [*filling, (0, 0)]), np.pad(mask, [*filling, (0, 0)][: mask.ndim])
            if mask.ndim == 2:
                yield bytes(imagecodecs.lerc_encode(part, 0, masks=mask))
            else:
                blobs = zip(np.moveaxis(part, 2, 0), np.moveaxis(mask, 2, 0), strict=True)
                yield b"".join(bytes(imagecodecs.lerc_encode(band, 0, masks=holes)) for band, holes in blobs)


def write(folder: Path, samples: NDArray[np.float32], there: NDArray[np.bool]) -> None:
    kind = {"tile": (TILE, TILE), "compression": "lerc", "photometric": "rgb", "metadata": None}
    tifffile.imwrite(folder / "in.tif", coded(samples, there), shape=samples.shape, dtype="float32", **kind)


@pytest.mark.parametrize("name", sorted(BY_GDAL.keys() - {"alpha"}))
def test_samples_of_gdals_files_are_those_that_gdal_reads(name: str, tmp_path: Path, repeat: Upscaler) -> None:
    (tmp_path / "in.tif").write_bytes(zlib.decompress(base64.b85decode(BY_GDAL[name])))
    expected = np.moveaxis(np.arange(1, 28, dtype=np.float32).reshape(3, 3, 3), 0, 2)
    expected = expected[..., :1] if name == "gray" else expected
    if name != "swapped":
        expected[0, 1, : 1 if name in ("in_one", "planes") else 3] = np.nan
    found = tifffile.imread(enlarged(tmp_path, repeat)).reshape(6, 6, -1)[::2, ::2]
    np.testing.assert_allclose(found, expected, rtol=0, atol=26e-7)  # of float32 in a network
    np.testing.assert_array_equal(found[0, 1], expected[0, 1])


def test_a_mask_of_gdal_in_the_place_of_alpha_is_alpha(tmp_path: Path, repeat: Upscaler) -> None:
    (tmp_path / "in.tif").write_bytes(zlib.decompress(base64.b85decode(BY_GDAL["alpha"])))
    found = tifffile.imread(enlarged(tmp_path, repeat))
    colours = np.moveaxis(np.arange(1, 28, dtype=np.uint8).reshape(3, 3, 3), 0, 2)
    source = np.dstack((colours, np.full((3, 3), 255, np.uint8)))
    source[0, 1] = 0
    tifffile.imwrite(tmp_path / "in.tif", source, photometric="rgb", extrasamples=["unassalpha"], metadata=None)
    np.testing.assert_array_equal(found, tifffile.imread(enlarged(tmp_path, repeat)))
    assert found[0, 0, 3] > 200 > 100 > found[0, 2:4, 3].max()


@pytest.mark.parametrize("alone", [True, False])
def test_what_has_no_value_stays_so_and_reaches_no_network(alone: bool, tmp_path: Path) -> None:
    """The land lies between 550 and 650; zeros of masked samples must not ring through it."""
    wave = 50 * np.sin(np.arange(WIDTH) / 6)[None, :, None] * np.cos(np.arange(HEIGHT) / 6)[:, None, None]
    land = (600 + wave).repeat(3, 2).astype(np.float32)
    there = np.ones((HEIGHT, WIDTH, 3), bool)
    there[12:18, 13:19, : 1 if alone else 3] = False  # across tiles
    write(tmp_path, land, there if alone else there.all(axis=2))
    with Upscaler("tiny", scale=2) as upscaler:
        found = tifffile.imread(enlarged(tmp_path, upscaler))
    np.testing.assert_array_equal(np.isnan(found), ~there.repeat(2, 0).repeat(2, 1))
    assert np.nanmin(found) > 530
    assert np.nanmax(found) < 670


def test_tiles_lie_where_they_belong(tmp_path: Path, repeat: Upscaler) -> None:
    source = np.random.default_rng(5).random((HEIGHT, WIDTH, 3)).astype(np.float32)
    write(tmp_path, source, np.ones((HEIGHT, WIDTH), bool))
    np.testing.assert_allclose(tifffile.imread(enlarged(tmp_path, repeat))[::2, ::2], source, rtol=0, atol=2e-7)


def test_other_samples_than_the_tags_say_are_refused_with_a_cure(tmp_path: Path, repeat: Upscaler) -> None:
    blob = bytes(imagecodecs.lerc_encode(np.ones((HEIGHT, WIDTH), np.float32), 0))
    kind = {"rowsperstrip": HEIGHT, "compression": "lerc", "photometric": "minisblack", "metadata": None}
    tifffile.imwrite(tmp_path / "in.tif", iter([blob]), shape=(HEIGHT, WIDTH), dtype="int32", **kind)
    with pytest.raises(ImageError, match=r"in\.tif: its LERC data hold other samples.*another compression"):
        enlarged(tmp_path, repeat)
    assert not (tmp_path / "out.tif").exists()
