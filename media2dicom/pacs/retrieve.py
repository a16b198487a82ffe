"""The header of one representative instance of a study, by C-GET or by C-MOVE to our own listener.

The header is handed on without pixels and other bulk data. Which attributes are copied from it is not here (dicom/).
"""

from __future__ import annotations

import queue
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context, build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import from a table
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from media2dicom.dicom.attributes import MANUFACTURER  # how our own results are known again
from media2dicom.dicom.references import NOT_IMAGES, Source, is_image, is_image_class
from media2dicom.dicom.values import text_of
from media2dicom.errors import IdentityMismatch, RetrieveFailed, SourceUnusable
from media2dicom.pacs.associations import MAX_CONTEXTS, associate
from media2dicom.pacs.listener import listening
from media2dicom.pacs.patients import contradiction
from media2dicom.pacs.query import (
    InstanceMatch,
    SeriesMatch,
    StudyMatch,
    find_images,
    find_series,
    query_association,
)
from media2dicom.pacs.syntaxes import COMPRESSED, OTHERS, RECEIVABLE, SOURCE_CLASSES, STORAGE_CLASSES, UNCOMPRESSED
from media2dicom.settings import Retrieve, Server, Settings

GET_MODEL: Final = StudyRootQueryRetrieveInformationModelGet
MOVE_MODEL: Final = StudyRootQueryRetrieveInformationModelMove
SUCCESS: Final = 0x0000
REFUSED: Final = 0x0124  # not authorized (PS3.7 C.5.12): what nobody asked for
UNKNOWN_DESTINATION: Final = 0xA801  # PS3.4 C.4.2.1.5
ATTEMPTS: Final = 3  # instances tried before a study counts as not retrievable
_BULK: Final = frozenset(
    Tag(tag)
    for tag in (
        *(0x7FE00001, 0x7FE00002, 0x7FE00008, 0x7FE00009, 0x7FE00010),  # (extended offset tables, float) pixel data
        *(0x00420011, 0x54000100, 0x56000020, 0x00660023),  # document, waveform, spectroscopy, surface
    )
)


def retrieve_source(server: Server, settings: Settings, study: StudyMatch) -> Source:
    """Choose one instance of the study, always the same one, and fetch its header.

    Images come before presentation states, reports, documents, models and the like, our own earlier results last. One
    that contradicts the PACS's answer for the study lends nothing.
    Raises SourceUnusable (no instance), IdentityMismatch (all that was tried contradicts the answer), QueryFailed,
    RetrieveFailed, and what `associate` raises.
    """
    with query_association(server, settings) as association:
        series = sorted(find_series(association, study.study_instance_uid), key=_rank)
        candidates = _candidates(association, study, series)
        header = _first_usable(server, settings, study, candidates)
    if is_image(header):
        return Source(header)
    foreign = (one.modality for one in series if _rank(one)[:2] == (False, False))
    return Source(header, next((modality for modality in foreign if modality), None))


def _first_usable(
    server: Server, settings: Settings, study: StudyMatch, candidates: Iterator[InstanceMatch]
) -> Dataset:
    own: Dataset | None = None
    failures: list[RetrieveFailed | IdentityMismatch] = []
    for candidate in candidates:
        try:
            header = _fetch(server, settings, candidate)
            _check_identity(header, study)
        except (RetrieveFailed, IdentityMismatch) as error:
            failures.append(error)
            if len(failures) == ATTEMPTS:
                break
            continue
        if text_of(header, "Manufacturer") != MANUFACTURER:
            return header
        own = own or header
    may_pass = next((error for error in failures if error.transient), None)
    if may_pass is not None:
        raise may_pass
    if own is not None:
        return own
    raise failures[0] if failures else SourceUnusable("The study holds no instance that could lend its identity.")


def _rank(series: SeriesMatch) -> tuple[bool, bool, bool, int, str]:
    number = series.series_number
    return (
        series.manufacturer == MANUFACTURER,
        series.modality in NOT_IMAGES,
        number is None,
        number or 0,
        series.series_instance_uid,
    )


def _candidates(association: Association, study: StudyMatch, series: list[SeriesMatch]) -> Iterator[InstanceMatch]:
    """One instance per series, images first; the PACS is asked for a series only when its turn comes."""
    no_images, not_receivable = [], []
    for one in series:
        images = find_images(association, study.study_instance_uid, one.series_instance_uid)
        images = [match for match in images if match.sop_instance_uid]
        if not images:
            continue
        chosen = min(images, key=_size)
        if chosen.sop_class_uid and chosen.sop_class_uid not in STORAGE_CLASSES:
            not_receivable.append(chosen)  # a private class, such as raw data of an MR series
        elif one.modality not in NOT_IMAGES and not is_image_class(chosen.sop_class_uid, one.modality):
            no_images.append(chosen)  # the Modality of a series may be an image's while its instances are documents
        else:
            yield chosen
    yield from no_images
    yield from not_receivable


def _size(match: InstanceMatch) -> tuple[bool, int, bool, int, str]:
    known = match.rows is not None and match.columns is not None
    pixels = (match.rows or 0) * (match.columns or 0) * (match.number_of_frames or 1) if known else 0
    number = match.instance_number
    return not known, pixels, number is None, number or 0, match.sop_instance_uid


def _fetch(server: Server, settings: Settings, instance: InstanceMatch) -> Dataset:
    keys = Dataset()
    keys.QueryRetrieveLevel = "IMAGE"
    keys.StudyInstanceUID = instance.study_instance_uid
    keys.SeriesInstanceUID = instance.series_instance_uid
    keys.SOPInstanceUID = instance.sop_instance_uid
    fetch = _move if server.retrieve is Retrieve.MOVE else _get
    return _header(fetch(server, settings, instance, keys))


def _get(server: Server, settings: Settings, instance: InstanceMatch, keys: Dataset) -> BytesIO:
    """C-GET (PS3.4 C.4.3): the instance comes on the same association, in which we are SCP of its class."""
    received: list[BytesIO] = []

    def on_store(event: Any) -> int:  # pynetdicom's Event sets its attributes dynamically
        if str(event.request.AffectedSOPInstanceUID) != instance.sop_instance_uid:
            return REFUSED
        received.append(BytesIO(event.encoded_dataset()))
        return SUCCESS

    status: int | None = None
    for storage in storage_proposals(instance.sop_class_uid):
        classes = dict.fromkeys(str(context.abstract_syntax) for context in storage)
        association = associate(
            server,
            settings,
            [build_context(GET_MODEL), *storage],
            ext_neg=[build_role(UID(uid), scp_role=True) for uid in classes],
            evt_handlers=[(evt.EVT_C_STORE, on_store)],
        )
        with association as established:
            status = _final_status(established, "C-GET", lambda: established.send_c_get(keys, GET_MODEL))
        if received:
            return received[0]
    raise RetrieveFailed(f"The PACS ended the C-GET without sending the instance (status {_shown(status)}).")


def _move(server: Server, settings: Settings, instance: InstanceMatch, keys: Dataset) -> BytesIO:
    """C-MOVE (PS3.4 C.4.2) to ourselves."""
    with listening(server, settings) as listener, listener.expect(instance.sop_instance_uid) as inbox:
        with associate(server, settings, [build_context(MOVE_MODEL)]) as established:
            status = _final_status(
                established, "C-MOVE", lambda: established.send_c_move(keys, settings.ae_title, MOVE_MODEL)
            )
        try:
            part10 = inbox.get(timeout=5 if status == SUCCESS else 0).part10
        except queue.Empty:
            unknown = " It does not know our AE title as a destination." if status == UNKNOWN_DESTINATION else ""
            text = f"The PACS ended the C-MOVE without sending us the instance (status {_shown(status)}).{unknown}"
            raise RetrieveFailed(text) from None
    assert part10 is not None
    return part10


def _final_status(association: Association, service: str, send: Any) -> int:
    try:
        *_, (status, _identifier) = send()
    except (RuntimeError, ValueError):
        raise RetrieveFailed(f"The PACS does not allow {service}, or the association was lost.") from None
    if "Status" not in status:
        raise RetrieveFailed(f"The PACS did not answer the {service}: the association was lost or timed out.")
    return int(status.Status)


def _shown(status: int | None) -> str:
    return "none" if status is None else f"0x{status:04X}"


def storage_proposals(sop_class_uid: str) -> Iterator[list[PresentationContext]]:
    """The storage contexts of one C-GET association after another, until the instance came.

    A context accepts one syntax; with one context per syntax the PACS sends the instance as it holds it. When the
    PACS did not tell the class there are more classes than contexts: the likely ones first.
    """
    if sop_class_uid:
        yield [build_context(sop_class_uid, syntax) for syntax in RECEIVABLE]
        return
    most = MAX_CONTEXTS - 1  # one is the C-GET's own
    likely = [
        build_context(uid, list(syntaxes)) for uid in SOURCE_CLASSES for syntaxes in (UNCOMPRESSED, COMPRESSED + OTHERS)
    ]
    rest = [build_context(uid, list(UNCOMPRESSED)) for uid in sorted(set(STORAGE_CLASSES) - set(SOURCE_CLASSES))]
    for contexts in (likely, rest):
        for first in range(0, len(contexts), most):
            yield contexts[first : first + most]


def _header(part10: BytesIO) -> Dataset:
    try:
        header = dcmread(part10, stop_before_pixels=True, force=True)
        for tag in [tag for tag in header.keys() if tag in _BULK or tag >= 0x7FE00000]:  # noqa: SIM118  # raw keys
            del header[tag]
        return header
    except Exception:  # noqa: BLE001  # whatever foreign bytes make pydicom raise; its text may hold values
        raise RetrieveFailed("The instance that the PACS sent cannot be read.") from None


def _check_identity(header: Dataset, study: StudyMatch) -> None:
    if found := contradiction(study, header):
        raise IdentityMismatch(
            f"The PACS's answer for the study and an instance that it sent of it do not agree: {found}.",
            next_step="Ask the PACS administrator to look at the study's instances and patient.",
        )
