"""Whatever goes wrong with a picture file is one line that names it."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from sr_plugins.errors import FrameError, ImageError, SRError, is_lack_of_memory, one_line
from sr_plugins.images.codec_messages import codec_messages
from sr_plugins.images.unread import why_unread

logger = logging.getLogger("sr_plugins")

# functions of libtiff that read directories: what it says there is not about the samples
_OF_TAGS = (
    "TIFFFetch",
    "TIFFReadDirectory",
    "TIFFReadCustomDirectory",
    "_TIFF",
    "TIFFAdvanceDirectory",
    "TIFFSetField",
)
# so readers begin where a file is whole, and of a kind that they do not know
_OF_OTHER_KIND = re.compile("unsupported|unimplemented|unknown|cannot handle|.* is not supported", re.IGNORECASE)


@contextmanager
def named(path: Path, target: Path) -> Iterator[None]:
    """Whatever goes wrong with one picture is one line that names it."""
    try:
        yield
    except (FrameError, ImageError) as error:
        if any(str(named) in str(error) for named in (path, target, target.resolve())):
            raise
        raise type(error)(f"{path}: {error}") from error
    except SRError:
        raise
    except Exception as error:
        if is_lack_of_memory(error):
            raise ImageError(f"{path}: not enough memory for its enlargement: choose a smaller scale") from error
        raise ImageError(f"{path}: {type(error).__name__}: {one_line(error)}") from error


@contextmanager
def told(path: Path, what: str) -> Iterator[None]:
    """Turns whatever a codec raises into one line about the file, and keeps what codecs say themselves to ourselves."""
    with codec_messages() as messages:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except ImageError as error:
            raise error if str(path) in str(error) else ImageError(f"{path}: {error}") from error
        except SRError:
            raise
        except UnidentifiedImageError as error:
            raise ImageError(f"{path} {why_unread(path)}") from error
        except Image.DecompressionBombError as error:
            cure = "--max-pixels allows more (in Python PIL.Image.MAX_IMAGE_PIXELS)"
            raise ImageError(f"{path} {what}: {str(error).rstrip('.')}: {cure}") from error
        except MemoryError:
            raise
        except OSError as error:
            reason = messages[0] if messages else error.strerror or str(error)
            raise ImageError(f"{path} {_with_cure(what, reason)}") from error
        except Exception as error:  # codecs raise what they like on damaged data
            raise ImageError(f"{path} {_with_cure(what, str(error) or type(error).__name__)}") from error
        if damages := [message for message in messages if not message.startswith(_OF_TAGS)]:
            more = f", and {len(damages) - 1} more" if len(damages) > 1 else ""
            logger.warning("%s is damaged in places, which were guessed (%s%s)", path, damages[0].rstrip("."), more)


def _with_cure(what: str, reason: str) -> str:
    """What is wrong and why; what a reader does not know is not damaged, and another program may."""
    if "libjxl" in reason:  # pillow-jxl-plugin tells developers how to build it
        return f"{what}: libjxl cannot decode it"
    if _OF_OTHER_KIND.match(reason):
        return f"cannot be read: {reason.rstrip('.')}: open it in another program and save it as PNG or TIFF"
    return f"{what}: {reason}"
