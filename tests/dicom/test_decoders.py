"""Every encoding that the project writes, opened by every decoder at hand: the pixels are those that went in.

Lossless and native pixels are equal bit by bit. Lossy ones are compared with libjpeg-turbo's decoding of the same
stream: decoders may differ by the rounding of their inverse DCT and by how they spread chroma (LOSSY_BOUND).
"""

from __future__ import annotations

import io
import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from media2dicom.dicom import encoding
from media2dicom.dicom.transcoding import transcode
from media2dicom.media.jpeg import read_jpeg_header
from media2dicom.media.payload import KeptJpeg, Picture
from media2dicom.model import Options
from tests.dicom import making
from tests.dicom.making import BASELINE, EXPLICIT, EXTENDED, IMPLICIT, P14, SV1
from tests.peers import binary, free_port, orthanc

Array = NDArray[Any]

SOURCE = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")
LOSSY_BOUND = 2.5  # the mean difference, of 255
SIZE = (34, 47)  # odd, and no multiple of 8


@dataclass(frozen=True)
class Encoding:
    """One form of pixels in one transfer syntax. `form`: colour, grey8, grey12, grey16, or kept and its sampling."""

    syntax: str
    form: str
    predictor: int = encoding.PREDICTOR_OF_57

    @property
    def name(self) -> str:
        short = self.syntax.rpartition(".")[2] if self.syntax.count(".") > 6 else UID(self.syntax).name.split()[0]
        return f"{short}-{self.form}" + (f"-predictor {self.predictor}" if self.syntax == P14 else "")

    @property
    def lossy(self) -> bool:
        return self.syntax in (BASELINE, EXTENDED)

    @property
    def bits(self) -> int:
        return int(self.form.removeprefix("grey")) if self.form.startswith("grey") else 8


FORMS = ("colour", "grey8", "grey12", "grey16")
SAMPLINGS = ("444", "422", "420", "440", "411", "rgb", "restarts", "grey")
ENCODINGS = (
    *(Encoding(BASELINE, form) for form in ("colour", "grey8", *(f"kept {sampling}" for sampling in SAMPLINGS))),
    *(Encoding(EXTENDED, form) for form in ("colour", "grey8", "grey12")),
    *(Encoding(P14, form, predictor) for predictor in range(2, 8) for form in FORMS),
    *(Encoding(syntax, form) for syntax in (SV1, EXPLICIT, IMPLICIT) for form in FORMS),
)


@dataclass(frozen=True)
class Written:
    """An instance of an encoding, and the pixels that every decoder must see."""

    path: Path
    pixels: Array


def _kept(sampling: str) -> Picture:
    if sampling == "grey":
        return making.kept_picture(making.pixels(*SIZE, color=False))
    if sampling != "restarts":
        return making.kept_picture(making.pixels(*SIZE), sampling)
    buffer = io.BytesIO()
    Image.fromarray(making.pixels(*SIZE)).save(buffer, "JPEG", quality=90, restart_marker_blocks=2)
    picture = making.kept_picture(making.pixels(*SIZE), "420")
    return replace(picture, kept_jpeg=KeptJpeg(buffer.getvalue(), "YBR_FULL_422"))


def _written(one: Encoding, number: int, folder: Path) -> Written:
    if one.form.startswith("kept"):
        picture = _kept(one.form.split()[1])
    else:
        array = making.pixels(*SIZE, color=one.form == "colour", bits=one.bits)
        picture = making.picture(array, bits=one.bits)
    options = Options(transfer_syntax=EXPLICIT if one.syntax == IMPLICIT else one.syntax)
    (instance,) = making.build(making.still(picture), SOURCE, folder, options, media_sha256=f"{number:064x}")
    if one.syntax == IMPLICIT:
        instance = transcode(instance, IMPLICIT, folder / "implicit.dcm")
    header = dcmread(instance.path)
    assert header.file_meta.TransferSyntaxUID == one.syntax
    if not one.lossy:
        assert picture.pixels is not None
        return Written(instance.path, picture.pixels)
    _, (stream,) = making.fragments(instance.path)
    return Written(instance.path, encoding.decode(stream, str(header.PhotometricInterpretation)))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[Encoding, Written]:
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        for number, one in enumerate(ENCODINGS):
            patch.setattr(encoding, "PREDICTOR_OF_57", one.predictor)
            made[one] = _written(one, number, tmp_path_factory.mktemp("encoding"))
    return made


# --- the decoders -------------------------------------------------------------------------------------------------


def _by_pydicom(plugin: str) -> Callable[[Path], Array]:
    def decode(path: Path) -> Array:
        dataset = dcmread(path)
        syntax = UID(dataset.file_meta.TransferSyntaxUID)
        if not syntax.is_encapsulated:
            return np.asarray(dataset.pixel_array)
        return np.asarray(get_decoder(syntax).as_array(dataset, decoding_plugin=plugin, as_rgb=True)[0])

    return decode


def _run(*command: str | Path) -> None:
    done = subprocess.run([binary(str(command[0])), *command[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _native(dataset: Dataset) -> Array:
    assert not UID(dataset.file_meta.TransferSyntaxUID).is_encapsulated
    assert dataset.PhotometricInterpretation in ("RGB", "MONOCHROME2", "YBR_FULL")
    return np.asarray(dataset.pixel_array)  # RGB, also of YBR_FULL


def _by_dcmdjpeg(path: Path) -> Array:
    native = path.with_suffix(".dcmtk.dcm")
    _run("dcmdjpeg", path, native)
    return _native(dcmread(native))


def _by_dcmj2pnm(path: Path) -> Array:
    picture = path.with_suffix(".pnm")
    _run("dcmj2pnm", "--write-n-bit-pnm", str(dcmread(path).BitsStored), path, picture)
    kind, *values = picture.read_text().split()
    columns, rows, _top, *samples = (int(value) for value in values)
    return np.array(samples).reshape((rows, columns, 3) if kind == "P3" else (rows, columns))


def _by_gdcmconv(path: Path) -> Array:
    native = path.with_suffix(".gdcm.dcm")
    _run("gdcmconv", "--raw", path, native)
    return _native(dcmread(native))


def _by_gdcmimg(path: Path) -> Array:
    """It writes PNM of native pixels only, so gdcmconv decodes before it."""
    native = path.with_suffix(".gdcm.dcm")
    picture = path.with_suffix(".ppm" if dcmread(path).SamplesPerPixel == 3 else ".pgm")
    _run("gdcmconv", "--raw", path, native)
    _run("gdcmimg", native, picture)
    with Image.open(picture) as image:
        return np.asarray(image)


DECODERS: dict[str, Callable[[Path], Array]] = {
    "pylibjpeg": _by_pydicom("pylibjpeg"),
    "pydicom-gdcm": _by_pydicom("gdcm"),
    "dcmdjpeg": _by_dcmdjpeg,
    "dcmj2pnm": _by_dcmj2pnm,
    "gdcmconv": _by_gdcmconv,
    "gdcmimg": _by_gdcmimg,
}

Decode = Callable[[Path], Array]

# Faults of the decoders, not of the streams: the others read them.
_IN_YCBCR = [one for one in ENCODINGS if one.lossy and "grey" not in one.form and one.form != "kept rgb"]
KNOWN_FAULTS = {
    ("pydicom-gdcm", Encoding(EXTENDED, "grey12")): "pydicom refuses to hand GDCM extended JPEG of 12 bits",
    **{("gdcmimg", one): "it writes no PPM of YCbCr pixels, as gdcmconv leaves them" for one in _IN_YCBCR},
}


@pytest.fixture(scope="module")
def by_orthanc(written: dict[Encoding, Written], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decode]:
    """One Orthanc that has been sent every instance; it decodes when asked through its REST interface."""
    http = free_port()
    configuration = {"HttpServerEnabled": True, "HttpPort": http, "RemoteAccessAllowed": False}
    with orthanc(tmp_path_factory.mktemp("orthanc"), **configuration) as peer:
        peer.load([one.path for one in written.values()])

        def decode(path: Path) -> Array:
            base = f"http://127.0.0.1:{http}"
            uid = str(dcmread(path, stop_before_pixels=True).SOPInstanceUID).encode()
            with urllib.request.urlopen(f"{base}/tools/lookup", data=uid) as answer:
                (found,) = json.load(answer)
            with urllib.request.urlopen(f"{base}{found['Path']}/numpy?rescale=false") as answer:
                return np.load(io.BytesIO(answer.read()))[0].squeeze()

        yield decode


def _assert_same(one: Encoding, seen: Array, expected: Array) -> None:
    assert seen.shape == expected.shape
    difference = np.abs(seen.astype(int) - expected.astype(int))
    if one.lossy:
        assert difference.mean() * 255 / (2**one.bits - 1) <= LOSSY_BOUND
    else:
        assert not difference.any()


def _cases() -> Iterator[Any]:
    for decoder in (*DECODERS, "orthanc"):
        for one in ENCODINGS:
            fault = KNOWN_FAULTS.get((decoder, one))
            marks = [pytest.mark.xfail(reason=fault, strict=True)] if fault else []
            yield pytest.param(decoder, one, id=f"{decoder}-{one.name}", marks=marks)


@pytest.mark.parametrize(("decoder", "one"), list(_cases()))
def test_decoder_sees_the_pixels_that_went_in(
    decoder: str, one: Encoding, written: dict[Encoding, Written], request: pytest.FixtureRequest
) -> None:
    decode = request.getfixturevalue("by_orthanc") if decoder == "orthanc" else DECODERS[decoder]
    _assert_same(one, decode(written[one].path), written[one].pixels)


def test_predictor_is_what_the_stream_says(written: dict[Encoding, Written]) -> None:
    for one, instance in written.items():
        if one.syntax in (P14, SV1):
            _, (stream,) = making.fragments(instance.path)
            header = read_jpeg_header(stream)
            assert header is not None
            assert header.spectral_start == (1 if one.syntax == SV1 else one.predictor)
