"""Which files a media cell may name."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from media2dicom.errors import CellRefused, MediaDamaged, MediaMissing, MediaOutsideRoots, RowRefused
from media2dicom.manifest.paths import MediaFinder
from media2dicom.settings import UPLOAD_LIMIT_BYTES
from tests.manifest.sheets import media


@pytest.fixture
def base(tmp_path: Path) -> Path:
    media(tmp_path, "lab/photos/a.jpg", "share/b.jpg", "outside/secret.jpg")
    return tmp_path


def finder(base: Path) -> MediaFinder:
    return MediaFinder(base / "lab", [base / "share"], hash_media=True)


def test_a_file_is_found_below_the_manifest_and_below_a_media_root(base: Path) -> None:
    find = finder(base).find
    photo = (base / "lab/photos/a.jpg").resolve()
    for spelling in ("photos/a.jpg", "photos\\a.jpg", "./photos/../photos/a.jpg", str(photo)):
        assert find(spelling).path == photo
    assert find("b.jpg").path == (base / "share/b.jpg").resolve()
    assert find("../share/b.jpg").path == (base / "share/b.jpg").resolve()


def test_a_backslash_of_a_real_file_name_is_no_separator(base: Path) -> None:
    odd = base / "lab" / "photos\\a.jpg"
    odd.write_bytes(b"odd")
    assert finder(base).find("photos\\a.jpg").path == odd.resolve()


@pytest.mark.parametrize(
    ("cell", "error"),
    [
        ("../outside/secret.jpg", MediaOutsideRoots),
        ("..\\outside\\secret.jpg", MediaOutsideRoots),
        ("photos/../../outside/secret.jpg", MediaOutsideRoots),
        ("/etc/passwd", MediaOutsideRoots),
        ("C:\\photos\\a.jpg", MediaOutsideRoots),
        ("c:a.jpg", MediaOutsideRoots),
        ("\\\\server\\share\\a.jpg", MediaOutsideRoots),
        ("//server/share/a.jpg", MediaOutsideRoots),
        ("https://example.org/a.jpg", MediaOutsideRoots),
        ("link.jpg", MediaOutsideRoots),
        ("folder-link/secret.jpg", MediaOutsideRoots),
        ("dangling.jpg", MediaMissing),
        ("loop.jpg", MediaMissing),
        ("none.jpg", MediaMissing),
        ("photos/a.jpg/b.jpg", MediaMissing),
        ("x" * 5000, MediaMissing),
        ("photos", CellRefused),
        (".", CellRefused),
        ("pipe", CellRefused),
        ("photos/a.jpg\n", CellRefused),
        ("empty.jpg", MediaDamaged),
    ],
)
def test_what_a_media_cell_may_not_name_is_refused_and_not_repeated(
    base: Path, cell: str, error: type[RowRefused]
) -> None:
    lab = base / "lab"
    (lab / "link.jpg").symlink_to(base / "outside/secret.jpg")
    (lab / "folder-link").symlink_to(base / "outside")
    (lab / "dangling.jpg").symlink_to(lab / "gone")
    (lab / "loop.jpg").symlink_to(lab / "loop.jpg")
    os.mkfifo(lab / "pipe")
    (lab / "empty.jpg").touch()
    with pytest.raises(error) as refusal:
        finder(base).find(cell)
    assert type(refusal.value) is error
    assert cell == "." or cell not in refusal.value.message


def test_a_link_that_stays_inside_is_followed(base: Path) -> None:
    (base / "lab/link.jpg").symlink_to(base / "share/b.jpg")
    assert finder(base).find("link.jpg").path == (base / "share/b.jpg").resolve()


def test_a_name_is_found_though_its_umlaut_is_written_in_another_way(base: Path) -> None:
    composed = unicodedata.normalize("NFC", "Über/Füße.jpg")
    decomposed = unicodedata.normalize("NFD", composed)
    media(base / "lab", decomposed)
    assert finder(base).find(composed).path == (base / "lab" / decomposed).resolve()
    media(base / "lab", composed)
    assert finder(base).find(composed).path == (base / "lab" / composed).resolve()


def test_two_files_of_one_name_in_other_unicode_spellings_are_not_guessed_between(base: Path) -> None:
    # three spellings of one name: two are there, the third is asked for
    (base / "lab" / "\u1ed9.jpg").write_bytes(b"1")
    (base / "lab" / "o\u0323\u0302.jpg").write_bytes(b"2")
    with pytest.raises(CellRefused, match="two files"):
        finder(base).find("\u00f4\u0323.jpg")


def test_a_file_over_the_upload_limit_is_measured_and_not_read(base: Path) -> None:
    with (base / "lab/huge.mp4").open("wb") as file:
        file.truncate(UPLOAD_LIMIT_BYTES + 1)  # sparse
    found = finder(base).find("huge.mp4")
    assert (found.size_bytes, found.sha256) == (UPLOAD_LIMIT_BYTES + 1, None)
