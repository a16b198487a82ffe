"""What an object holds, for a person's eyes and hands: one picture of it, or the payload as a file of its own.

Of this project's objects and of others': what cannot be shown is refused with the reason.
"""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import generate_frames, get_frame
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, MPEGTransferSyntaxes

from media2dicom.dicom.encoding import decode
from media2dicom.dicom.part10 import ENCAPSULATED_DOCUMENT, PIXEL_DATA, copy_bytes
from media2dicom.errors import CacheFailed, MediaTooLarge, MediaUnsupported
from media2dicom.media.payload import CDA, MTL, OBJ, PDF, STL, Model
from media2dicom.media.preview import preview
from media2dicom.settings import Settings
from media2dicom.validation.documents import MIME_TYPES, document_length
from media2dicom.validation.written import Written, fragments

_MAX_PIXELS: Final = int(Settings.model_fields["max_pixels"].default)
_MODEL_PX: Final = 512
_DECODER_TIMEOUT_S: Final = 120
_JPEGS: Final = {  # transfer syntax -> what a file of one frame is called; a lossless one opens in few programs
    **dict.fromkeys(("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"), ".jpg"),
    **dict.fromkeys(("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"), ".ljpg"),
}
_SUFFIXES: Final = {PDF: ".pdf", CDA: ".xml", STL: ".stl", OBJ: ".obj", MTL: ".mtl"}
_DEMUXERS: Final = {".mp4": "mp4", ".ts": "mpegts", ".h264": "h264", ".h265": "hevc", ".mpg": "mpegvideo"}


def picture_of(written: Written) -> Image.Image:
    """A still; of a cine the frame in its middle, of a video its first frame, of a 3D model a view from aside.

    Raises MediaUnsupported, MediaTooLarge: there is no picture, or none that can be made here.
    """
    if written.bulk is not None and written.bulk.tag == ENCAPSULATED_DOCUMENT:
        return _model_picture(written)
    if (written.bulk is None or written.bulk.tag != PIXEL_DATA) and "PixelData" not in written.header:  # deflated
        raise MediaUnsupported("The object has no pixels.")
    if written.number("Rows") * written.number("Columns") > _MAX_PIXELS:
        raise MediaTooLarge(f"The picture has more than {_MAX_PIXELS:,} pixels.")
    try:
        if written.transfer_syntax_uid in MPEGTransferSyntaxes:
            return _in_proportion(_video_frame(written), written)
        return _in_proportion(Image.fromarray(_as_eight_bits(_frame(written), written)), written)
    except (OSError, MediaUnsupported):
        raise
    except Exception as error:  # noqa: BLE001 - decoders raise whatever they like, and their texts may hold values
        name = UID(written.transfer_syntax_uid).name
        raise MediaUnsupported(f"The pixels ({name}) cannot be decoded here ({type(error).__name__}).") from None


def _frame(written: Written) -> NDArray[Any]:
    """The frame in the middle, as stored values; colour as RGB."""
    middle = (written.frames - 1) // 2
    if written.transfer_syntax_uid in _JPEGS and written.bulk is not None:
        with written.path.open("rb") as file:
            file.seek(written.bulk.offset)
            data = get_frame(file, middle, number_of_frames=written.frames)
        return decode(data, written.text("PhotometricInterpretation"))
    return pixel_array(written.path if written.bulk is not None else written.header, index=middle)


def _as_eight_bits(values: NDArray[Any], written: Written) -> NDArray[np.uint8]:
    """As a viewer shows them: palette, rescale, window; without a window, grey from the least to the greatest value."""
    header = written.header
    if written.text("PhotometricInterpretation") == "PALETTE COLOR":
        values = apply_color_lut(values, header)
    if values.ndim == 3:
        return np.asarray(values if values.dtype == np.uint8 else values >> (8 * values.dtype.itemsize - 8), np.uint8)
    windowed = "WindowCenter" in header or "VOILUTSequence" in header
    if windowed:
        values = apply_voi_lut(apply_modality_lut(values, header), header)
    if windowed or values.dtype != np.uint8:
        least, greatest = float(values.min()), float(values.max())
        values = (values.astype(np.float32) - least) * (255 / max(1.0, greatest - least))
    grey = np.asarray(values, np.uint8)
    return 255 - grey if written.text("PhotometricInterpretation") == "MONOCHROME1" else grey


def _in_proportion(picture: Image.Image, written: Written) -> Image.Image:
    """Pixels that are not square made so, by widening (PS3.3 C.7.6.3.1.7: vertical, then horizontal)."""
    ratio = written.header.get("PixelAspectRatio")
    if not ratio or len(ratio) != 2 or not all(int(part) > 0 for part in ratio):
        return picture
    across, down = int(ratio[1]), int(ratio[0])
    if not 0.1 < across / down < 10 or across == down:
        return picture
    return picture.resize((max(1, round(picture.width * across / down)), picture.height))


def _video_frame(written: Written) -> Image.Image:
    """The first frame of a coded video. The demuxer is forced, and nothing but the file may be opened."""
    with TemporaryDirectory() as folder:
        path = _write_stream(written, Path(folder) / "stream")
        limits = ["-max_pixels", str(_MAX_PIXELS), "-protocol_whitelist", "file,pipe"]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *limits, "-f", _DEMUXERS[path.suffix]]
        command += ["-i", str(path), "-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-"]
        done = subprocess.run(command, capture_output=True, check=True, timeout=_DECODER_TIMEOUT_S)
        picture = Image.open(io.BytesIO(done.stdout))
        picture.load()
        return picture


def _model_picture(written: Written) -> Image.Image:
    mime_type = MIME_TYPES.get(written.sop_class_uid)
    if mime_type not in (STL, OBJ):
        what = "A material library" if mime_type == MTL else "A document"
        raise MediaUnsupported(f"{what} has no picture; --extract FOLDER writes it as a file.")
    with TemporaryDirectory() as folder:
        (path,) = extract(written, Path(folder))
        try:
            shown = preview(Model(path, path.stat().st_size, mime_type), _MODEL_PX)
        except Exception as error:  # noqa: BLE001 - the model of another maker may be anything
            raise MediaUnsupported(f"The model cannot be read ({type(error).__name__}).") from None
    if shown is None:
        raise MediaUnsupported("There is nothing to be seen of the model.")
    return Image.fromarray(shown)


# --- the payload as a file --------------------------------------------------------------------------------------


def extract(written: Written, folder: Path) -> list[Path]:
    """Write the payload below `folder`, named after the object's file: a document, a video, the frames of a JPEG.

    Raises MediaUnsupported where there is none, CacheFailed where a file of that name is there already.
    """
    stem = folder / written.path.stem
    if written.bulk is None:
        raise MediaUnsupported("The object has no payload.")
    if written.bulk.tag == ENCAPSULATED_DOCUMENT:
        suffix = _SUFFIXES.get(written.text("MIMETypeOfEncapsulatedDocument"), ".bin")
        path = stem.with_name(stem.name + suffix)
        length = document_length(written)
        _write(path, written, written.bulk.offset, written.bulk.length if length is None else length)
        return [path]
    if written.transfer_syntax_uid in MPEGTransferSyntaxes:
        return [_write_stream(written, stem)]
    if written.transfer_syntax_uid in _JPEGS:
        return list(_write_frames(written, stem, _JPEGS[written.transfer_syntax_uid]))
    raise MediaUnsupported("The pixels are no stream of their own.", next_step="The picture (--out) shows them.")


def _write_stream(written: Written, stem: Path) -> Path:
    """The video's own stream, its fragments one after the other."""
    with written.path.open("rb") as file:
        parts = [fragment for fragment in list(fragments(written, file))[1:] if fragment is not None]
        if not parts:
            raise MediaUnsupported("The object holds no video.")
        file.seek(parts[0].offset)
        path = stem.with_name(stem.name + _stream_suffix(file.read(16), written.transfer_syntax_uid))
        with _new(path) as target:
            for part in parts:
                file.seek(part.offset)
                copy_bytes(file, target, part.length)
    return path


def _stream_suffix(head: bytes, transfer_syntax_uid: str) -> str:
    if head[4:8] == b"ftyp":
        return ".mp4"
    if head[:1] == b"\x47":
        return ".ts"
    if transfer_syntax_uid.endswith((".100", ".101")):
        return ".mpg"
    return ".h265" if transfer_syntax_uid.endswith((".107", ".108")) else ".h264"


def _write_frames(written: Written, stem: Path, suffix: str) -> Iterator[Path]:
    if written.bulk is None:
        return
    with written.path.open("rb") as file:
        file.seek(written.bulk.offset)
        for number, data in enumerate(generate_frames(file, number_of_frames=written.frames), start=1):
            mark = "" if written.frames == 1 else f"-{number:04d}"
            path = stem.with_name(f"{stem.name}{mark}{suffix}")
            with _new(path) as target:
                target.write(data)
            yield path


def _write(path: Path, written: Written, offset: int, length: int) -> None:
    with written.path.open("rb") as file, _new(path) as target:
        file.seek(offset)
        copy_bytes(file, target, length)


def save_picture(picture: Image.Image, path: Path, *, replace: bool) -> None:
    """Write the picture as PNG. Raises CacheFailed where a file of that name is there, unless it is to be replaced."""
    if replace:
        path.unlink(missing_ok=True)
    with _new(path, otherwise="Name another --out.") as target:
        picture.save(target, format="PNG")


def _new(path: Path, otherwise: str = "Name another --extract folder.") -> io.BufferedRandom:
    """A file that was not there before, for its owner's eyes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")
    except FileExistsError:
        raise CacheFailed(f"{path} is there already.", next_step=otherwise) from None
