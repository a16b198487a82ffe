"""Pixels as other decoders see them: lossless exact, lossy within a bound, a kept JPEG's bytes untouched."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import get_decoder
from pydicom.uid import UID, ExplicitVRLittleEndian

from media2dicom.dicom.encoding import encode
from media2dicom.dicom.transcoding import transcode
from media2dicom.errors import OptionRefused
from media2dicom.media.payload import Picture
from media2dicom.model import Options, VideoMode
from tests.dicom import making
from tests.dicom.making import BASELINE, EXPLICIT, EXTENDED, IMPLICIT, P14, SV1

SOURCE = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")


def decoded(path: Path) -> list[tuple[str, Any]]:
    """The pixels of a file by every decoder that is installed: pylibjpeg, GDCM, DCMTK."""
    dataset = dcmread(path)
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if not syntax.is_encapsulated:
        return [("pydicom", dataset.pixel_array)]
    decoder = get_decoder(syntax)
    found = []
    for plugin in ("pylibjpeg", "gdcm"):
        assert plugin in decoder.available_plugins
        if plugin == "gdcm" and dataset.BitsStored == 12 and syntax == EXTENDED:
            continue  # pydicom: "GDCM does not support 'JPEG Extended' for samples with 12-bit precision"
        found.append((plugin, decoder.as_array(dataset, decoding_plugin=plugin, as_rgb=True)[0]))
    if shutil.which("dcmdjpeg"):
        native = path.with_suffix(".native.dcm")
        subprocess.run(["dcmdjpeg", path, native], check=True, capture_output=True)
        found.append(("dcmdjpeg", dcmread(native).pixel_array))
    return found


def still_file(picture: Picture, syntax: str, folder: Path) -> Path:
    return making.build(making.still(picture), SOURCE, folder, Options(transfer_syntax=syntax))[0].path


@pytest.mark.parametrize("syntax", [P14, SV1, EXPLICIT])
@pytest.mark.parametrize(("color", "bits"), [(True, 8), (False, 8), *((False, bits) for bits in (9, 10, 12, 13, 16))])
def test_lossless_pixels_are_exact_in_every_decoder(syntax: str, color: bool, bits: int, tmp_path: Path) -> None:
    array = making.pixels(color=color, bits=bits)
    path = still_file(making.picture(array, bits=bits), syntax, tmp_path)
    for name, seen in decoded(path):
        assert np.array_equal(seen, array), name
    written = dcmread(path)
    assert (written.BitsAllocated, written.BitsStored) == (8 if bits == 8 else 16, bits)
    assert written.LossyImageCompression == "00"


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 1), (9, 15), (17, 16)])
@pytest.mark.parametrize("syntax", [BASELINE, EXTENDED, P14, SV1, EXPLICIT])
def test_small_and_odd_sizes_hold(size: tuple[int, int], syntax: str, tmp_path: Path) -> None:
    for color in (True, False):
        array = making.pixels(*size, color=color)
        path = still_file(making.picture(array), syntax, tmp_path)
        written = dcmread(path)
        assert (written.Rows, written.Columns) == size
        assert path.stat().st_size % 2 == 0
        if syntax in (BASELINE, EXTENDED):
            assert float(written.LossyImageCompressionRatio) > 0  # a tiny picture grows: below one, but not zero
        else:
            assert np.array_equal(written.pixel_array.reshape(array.shape), array)


@pytest.mark.parametrize(
    ("syntax", "bits", "bound"), [(BASELINE, 8, 3), (EXTENDED, 8, 3), (EXTENDED, 12, 20), (EXTENDED, 10, 20)]
)
def test_lossy_pixels_stay_within_a_bound(syntax: str, bits: int, bound: int, tmp_path: Path) -> None:
    array = making.pixels(64, 80, color=False, bits=bits)
    for name, seen in decoded(still_file(making.picture(array, bits=bits), syntax, tmp_path)):
        assert np.abs(seen.astype(int) - array.astype(int)).mean() < bound, name


@pytest.mark.parametrize("syntax", [BASELINE, EXTENDED])
def test_lossy_colours_come_out_as_they_went_in(syntax: str, tmp_path: Path) -> None:
    array = np.zeros((32, 48, 3), np.uint8)
    array[:, :16], array[:, 16:32], array[:, 32:] = (200, 30, 40), (20, 180, 60), (30, 60, 220)
    for name, seen in decoded(still_file(making.picture(array), syntax, tmp_path)):
        for left in (0, 16, 32):
            middle = seen[8:24, left + 4 : left + 12].astype(int)
            assert np.abs(middle - array[0, left].astype(int)).max() < 12, name


@pytest.mark.parametrize("subsampling", ["420", "422", "444"])
def test_kept_jpeg_is_the_same_bytes_inside_one_fragment(subsampling: str, tmp_path: Path) -> None:
    lengths = set()
    for columns in range(30, 38):  # streams of odd and of even length
        kept = making.kept_picture(making.pixels(24, columns), subsampling)
        assert kept.kept_jpeg is not None
        stream = kept.kept_jpeg.bitstream
        path = still_file(kept, BASELINE, tmp_path)
        offsets, (fragment,) = making.fragments(path)
        assert offsets == [0]
        assert fragment == stream + b"\x00" * (len(stream) % 2)
        lengths.add(len(stream) % 2)
    assert lengths == {0, 1}


def test_kept_jpeg_rewritten_natively_is_what_its_decoders_see(tmp_path: Path) -> None:
    for subsampling in ("420", "422", "444", "rgb"):
        (instance,) = making.build(
            making.still(making.kept_picture(making.pixels(40, 64), subsampling)), SOURCE, tmp_path
        )
        native = transcode(instance, EXPLICIT, tmp_path / "native.dcm")
        assert dcmread(native.path).LossyImageCompression == "01"  # loss that happened stays told
        for name, seen in decoded(instance.path):
            difference = dcmread(native.path).pixel_array.astype(int) - seen.astype(int)
            assert np.abs(difference).mean() < 3, name  # decoders differ in how they fill in chroma


@pytest.mark.parametrize("to", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize(("color", "bits"), [(True, 8), (False, 8), (False, 12), (False, 16)])
def test_native_rewriting_of_lossless_pixels_is_exact(to: str, color: bool, bits: int, tmp_path: Path) -> None:
    for size in ((9, 15), (8, 8)):
        array = making.pixels(*size, color=color, bits=bits)
        for syntax in (P14, SV1, EXPLICIT):
            options = Options(transfer_syntax=syntax)
            (instance,) = making.build(making.still(making.picture(array, bits=bits)), SOURCE, tmp_path, options)
            native = transcode(instance, to, tmp_path / "native.dcm")
            assert np.array_equal(dcmread(native.path).pixel_array, array)


@pytest.mark.parametrize("syntax", [BASELINE, P14, SV1, EXPLICIT])
def test_frames_of_a_cine_keep_their_order(syntax: str, tmp_path: Path) -> None:
    for color in (True, False):
        payload = making.clip([40.0 * number for number in range(7)], cine=True, color=color, rows=9, columns=15)
        base = making.pixels(9, 15, color=color)
        options = Options(video_mode=VideoMode.CINE, transfer_syntax=syntax)
        (instance,) = making.build(payload, SOURCE, tmp_path, options)
        native = transcode(instance, EXPLICIT, tmp_path / "native.dcm")
        for path in (instance.path, native.path):
            for name, seen in decoded(path):
                assert seen.shape[0] == 7
                for number in range(7):
                    difference = np.abs(seen[number].astype(int) - np.roll(base, number, axis=1).astype(int))
                    assert difference.mean() < (20 if syntax == BASELINE and color else 4), (name, number)
                    assert syntax == BASELINE or not difference.any(), (name, number)


def test_video_frame_tells_both_lossy_steps_oldest_first(tmp_path: Path) -> None:
    instances = making.build(making.clip((0.0, 40.0), cine=False), SOURCE, tmp_path)
    written = dcmread(instances[0].path)
    assert list(written.LossyImageCompressionMethod) == ["ISO_14496_10", "ISO_10918_1"]
    assert float(written.LossyImageCompressionRatio[0]) == 40
    exact = making.build(
        making.clip((0.0, 40.0), cine=False), SOURCE, tmp_path, Options(transfer_syntax=str(ExplicitVRLittleEndian))
    )
    assert dcmread(exact[0].path).LossyImageCompressionMethod == "ISO_14496_10"


@pytest.mark.parametrize(
    ("bits", "syntax"), [(12, BASELINE), (16, BASELINE), (16, EXTENDED), (8, "1.2.840.10008.1.2.4.90")]
)
def test_syntax_that_cannot_hold_the_pixels_is_refused(bits: int, syntax: str, tmp_path: Path) -> None:
    array = making.pixels(color=False, bits=bits)
    with pytest.raises(OptionRefused):
        still_file(making.picture(array, bits=bits), syntax, tmp_path)
    assert not list(tmp_path.rglob("*.dcm"))


def test_kept_stream_is_never_relabelled() -> None:
    with pytest.raises(OptionRefused):
        encode(making.kept_picture(making.pixels()), SV1, jpeg_quality=95)


def test_picture_wider_than_viewers_open_is_refused() -> None:
    with pytest.raises(OptionRefused, match="65500"):
        encode(making.picture(np.zeros((1, 65536), np.uint8)), SV1, jpeg_quality=95)


def test_clip_whose_frames_differ_in_size_is_refused_as_cine(tmp_path: Path) -> None:
    from dataclasses import replace

    payload = making.clip((0.0, 40.0), cine=True)
    other = making.picture(making.pixels(8, 8), time_ms=40.0)
    mixed = replace(payload, opener=making._opened([making.picture(making.pixels(), time_ms=0.0), other]))
    with pytest.raises(OptionRefused, match="differ"):
        making.build(mixed, SOURCE, tmp_path, Options(video_mode=VideoMode.CINE))
    assert not list(tmp_path.rglob("*"))[1:]
