"""Whatever goes wrong with a picture file is one line that names it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from sr_plugins.errors import FrameError, ImageError, SRError, is_lack_of_memory, one_line


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
    """Turns whatever a codec raises into one line about the file, and keeps codecs' warnings to ourselves."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImageError as error:
        raise error if str(path) in str(error) else ImageError(f"{path}: {error}") from error
    except SRError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{path} is not a picture that can be read") from error
    except Image.DecompressionBombError as error:
        cure = "--max-pixels allows more (in Python PIL.Image.MAX_IMAGE_PIXELS)"
        raise ImageError(f"{path} {what}: {str(error).rstrip('.')}: {cure}") from error
    except MemoryError:
        raise
    except OSError as error:
        raise ImageError(f"{path} {what}: {error.strerror or error}") from error
    except Exception as error:  # codecs raise what they like on damaged data
        raise ImageError(f"{path} {what}: {error or type(error).__name__}") from error
