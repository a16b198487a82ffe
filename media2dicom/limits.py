"""The upload limit and the size warning, checked on what would be sent."""

from __future__ import annotations

from media2dicom.errors import OverUploadLimit
from media2dicom.settings import MEGABYTE, UPLOAD_LIMIT_BYTES, UPLOAD_LIMIT_MB


def megabytes(size_bytes: int) -> str:
    """1 MB = 1,000,000 bytes; rounded up, so that what is over a limit never reads as equal to it."""
    return f"{-(-size_bytes // MEGABYTE):,} MB"


def refuse_over_limit(size_bytes: int, media: str, *, at_least: bool = False) -> None:
    """Raise OverUploadLimit when an instance of `size_bytes` may not be sent."""
    if size_bytes <= UPLOAD_LIMIT_BYTES:
        return
    how = "at least " if at_least else ""
    raise OverUploadLimit(
        f"{media} makes a DICOM instance of {how}{megabytes(size_bytes)}; the upload limit is {UPLOAD_LIMIT_MB:,} MB.",
        next_step="Make it smaller: fewer frames of a video (frame_interval_s, end_s, max_frames), a smaller picture, "
        "document or mesh.",
    )


def size_warning(size_bytes: int, warning_mb: int) -> str | None:
    """The warning for an instance larger than the configured size."""
    if size_bytes <= warning_mb * MEGABYTE:
        return None
    return f"An instance has {megabytes(size_bytes)}, over the upload size warning of {warning_mb:,} MB."
