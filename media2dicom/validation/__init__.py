"""The project's own validator: what is written is looked at again, by the standard's tables, before it may be sent.

It checks what the public checkers check in tests, and what they miss (PS3.3 C.7.6, C.24, C.35; PS3.5 8, A.4), on
every instance in production: the header is read, of the bulk element only what says how it is coded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from media2dicom.errors import ObjectNotConformant
from media2dicom.validation.attributes import check_attributes
from media2dicom.validation.codes import check_codes
from media2dicom.validation.documents import check_document
from media2dicom.validation.findings import Finding
from media2dicom.validation.icons import check_icon
from media2dicom.validation.identity import check_identity
from media2dicom.validation.iods import IODS
from media2dicom.validation.pixels import check_pixels
from media2dicom.validation.values import check_values
from media2dicom.validation.written import Written, open_written

__all__ = ["Finding", "check", "findings", "refuse_findings"]


def findings(path: Path) -> tuple[Finding, ...]:
    """All findings of the file at `path`. Raises what pydicom makes of a file that is none of DICOM."""
    return tuple(check(open_written(path)))


def check(written: Written) -> Iterator[Finding]:
    """All findings of an object. The values come first: what is told of a broken one is told once."""
    broken = list(check_values(written))
    yield from broken
    iod = IODS.get(written.sop_class_uid)
    if iod is None:
        yield Finding("SOPClassUID", "is none that the project writes", "PS3.4 B.5")
        return
    told = {finding.attribute for finding in broken}
    for checker in (check_identity, check_attributes, check_codes, check_document, check_icon, check_pixels):
        try:
            found = list(checker(written, iod))
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - broken values, as other programs write them; the text may hold them
            found = [
                Finding("file", f"holds what cannot be judged ({checker.__name__}, {type(error).__name__})", "PS3.5")
            ]
        yield from (finding for finding in found if finding.attribute not in told)


def refuse_findings(path: Path) -> None:
    """Raise ObjectNotConformant, naming attributes and rules, when the file has any finding."""
    try:
        found = findings(path)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever pydicom makes of damaged bytes; its text may hold values
        raise ObjectNotConformant(
            f"The object that was written cannot be read again ({type(error).__name__}); it is not sent."
        ) from None
    if found:
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
        said = "; ".join(str(finding) for finding in found[:3])
        raise ObjectNotConformant(f"The object does not conform and is not sent: {said}{more}.")
