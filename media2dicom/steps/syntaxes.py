"""A prepared file in a transfer syntax that the PACS takes: as it is, or rewritten without compression."""

from __future__ import annotations

from media2dicom.dicom.transcoding import transcode
from media2dicom.dicom.transfer_syntaxes import NATIVE_SYNTAXES
from media2dicom.errors import Media2DicomError, NoPresentationContext, ObjectNotConformant
from media2dicom.model import Instance
from media2dicom.pacs.store import StoreSession
from media2dicom.steps.prepared import refuse_incomplete, unreadable
from media2dicom.steps.workbench import Workbench
from media2dicom.validation import refuse_findings


def acceptable(bench: Workbench, session: StoreSession, row_key: str, instance: Instance) -> Instance:
    """The instance in a transfer syntax that the PACS takes; rewritten natively when it refuses its own.

    Raises CacheFailed, NoPresentationContext, ObjectNotConformant, and what `transcode` raises.
    """
    refuse_incomplete(instance)
    accepted = session.accepted_syntaxes(instance.sop_class_uid)
    if instance.transfer_syntax_uid in accepted:
        return instance
    native = next((syntax for syntax in NATIVE_SYNTAXES if syntax in accepted), None)
    if native is None:
        raise NoPresentationContext("The PACS accepts this storage class in no transfer syntax that we can write.")
    path = instance.path.with_name(f"{instance.path.stem}.native{instance.path.suffix}")
    try:
        rewritten = transcode(instance, native, path)
        refuse_findings(rewritten.path)
    except OSError:
        raise unreadable() from None
    except Media2DicomError:
        raise
    except Exception as error:  # noqa: BLE001 - a file that nobody foresaw must not take the other rows along
        raise ObjectNotConformant(
            f"The PACS refuses the object's transfer syntax; writing it natively failed ({type(error).__name__})."
        ) from None
    bench.ledger.replace_instance(row_key, rewritten)
    return rewritten
