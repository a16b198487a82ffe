"""Image files through Pillow's plugins, one named plugin at a time; what Pillow raises becomes an error of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL.Image import DecompressionBombError, Image

from media2dicom.errors import MediaDamaged, MediaTooLarge, MediaUnsupported
from media2dicom.media.pixels import on_white, rgb_of_cmyk

# what Pillow says of a file that it cannot read
FAULTS: Final = (OSError, ValueError, SyntaxError, EOFError, IndexError)


@contextmanager
def opened(plugin: Callable[[Any], Image], path: Path, name: str) -> Iterator[Image]:
    """The file with its header read. Raises MediaUnsupported, MediaDamaged, MediaTooLarge; OSError of the disk."""
    with path.open("rb") as file:
        try:
            image = plugin(file)
        except DecompressionBombError:
            raise MediaTooLarge(f"The {name} file has too many pixels.", next_step="Export it smaller.") from None
        except FAULTS as error:  # Pillow's own OSErrors have no errno
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise MediaUnsupported(f"The {name} file is of a variant that cannot be read: {error}.") from None
        with image:
            if not image.width or not image.height:
                raise MediaDamaged(f"The {name} file declares a picture without pixels.")
            yield image


def loaded(image: Image, cmyk_profile: bytes | None = None) -> NDArray[np.uint8]:
    """An 8-bit image as grey or RGB pixels. Raises MediaDamaged, MediaTooLarge."""
    try:
        image.load()
    except DecompressionBombError:
        raise MediaTooLarge("The image file has too many pixels.", next_step="Export it smaller.") from None
    except (*FAULTS, MemoryError) as error:
        raise MediaDamaged(f"The image file is damaged: {error}.") from None
    if image.mode == "P":
        _refuse_unknown_colours(image)
    if image.mode == "CMYK":
        return rgb_of_cmyk(image, cmyk_profile)
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.has_transparency_data:
        pixels: NDArray[np.uint8] = np.asarray(image.convert("RGBA"))
        # Some programs leave the alpha of a 32-bit bitmap at zero all over and mean opaque.
        return on_white(pixels, 255) if image.format != "BMP" or pixels[..., 3].any() else pixels[..., :3]
    return np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))


def _refuse_unknown_colours(image: Image) -> None:
    palette = image.palette
    known = len(palette.palette) // len(palette.mode) if palette is not None else 0
    if int(np.asarray(image).max()) >= known:
        raise MediaDamaged("The image file is damaged: its pixels name colours that its palette does not have.")
