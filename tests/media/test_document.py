"""PDF and CDA: sound files are their own payload, broken and hostile ones are refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdf
import pytest
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, TextStringObject

from media2dicom.errors import MediaDamaged, MediaTooLarge, MediaUnsupported, RowRefused
from media2dicom.media import open_media, plan_media
from media2dicom.media.payload import Document, MediaPlan
from media2dicom.model import Options
from media2dicom.settings import Settings
from tests.media.making_models import cda, pdf, pdf_without_pages
from tests.media.opening import written
from tests.real_media import real_image


def opened(path: Path, tmp_path: Path) -> tuple[Document, MediaPlan]:
    plan = plan_media(path, Options(), Settings())
    payload = open_media(path, Options(), Settings(), tmp_path)
    assert isinstance(payload, Document)
    assert (payload.path, payload.size_bytes) == (path, path.stat().st_size)
    assert (plan.kind, plan.instances) == ("document", 1)
    assert plan.largest_instance_bytes == payload.size_bytes
    return payload, plan


# --- PDF --------------------------------------------------------------------------------------------------------


def test_sound_pdf_is_its_own_payload(tmp_path: Path) -> None:
    payload, plan = opened(written(tmp_path, "a.pdf", pdf()), tmp_path)
    assert (payload.mime_type, payload.patient, plan.warnings) == ("application/pdf", None, ())


@pytest.mark.parametrize("content", [b"\n\n%of a scanner\n" + pdf(), pdf() + b"\0" * 100])
def test_pdf_with_something_before_or_behind_is_taken(tmp_path: Path, content: bytes) -> None:
    opened(written(tmp_path, "a.pdf", content), tmp_path)


def test_pdf_that_opens_without_a_password_is_taken(tmp_path: Path) -> None:
    opened(written(tmp_path, "a.pdf", pdf(owner_password="may not be printed")), tmp_path)


def test_pdf_with_javascript_action_or_attachment_is_warned_of(tmp_path: Path) -> None:
    for content, what in (
        (pdf(scripted=True), "JavaScript"),
        (pdf(opening="/Launch"), "action"),
        (pdf(attachment=b"MZ"), "attached"),
    ):
        _, plan = opened(written(tmp_path, "a.pdf", content), tmp_path)
        (warning,) = plan.warnings
        assert what in warning


def dictionary(**entries: Any) -> DictionaryObject:
    return DictionaryObject({NameObject(f"/{key}"): value for key, value in entries.items()})


SCRIPT = dictionary(S=NameObject("/JavaScript"), JS=TextStringObject("app.alert(1)"))
LINK = dictionary(S=NameObject("/URI"), URI=TextStringObject("https://www.example.org"))


def on_first_page(**entries: Any) -> Callable[[pypdf.PdfWriter], object]:
    return lambda writer: writer.pages[0].update(dictionary(**entries))


def annotated(**entries: Any) -> Callable[[pypdf.PdfWriter], object]:
    return on_first_page(Annots=ArrayObject([dictionary(Type=NameObject("/Annot"), **entries)]))


def in_catalog(**entries: Any) -> Callable[[pypdf.PdfWriter], object]:
    return lambda writer: writer.root_object.update(dictionary(**entries))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (on_first_page(AA=dictionary(O=SCRIPT)), "JavaScript"),
        (annotated(Subtype=NameObject("/Widget"), AA=dictionary(K=SCRIPT)), "JavaScript"),
        (annotated(Subtype=NameObject("/Link"), A=SCRIPT), "JavaScript"),
        (annotated(Subtype=NameObject("/Link"), A=dictionary(S=NameObject("/GoTo"), Next=SCRIPT)), "JavaScript"),
        (annotated(Subtype=NameObject("/FileAttachment")), "attached"),
        (in_catalog(OpenAction=dictionary(S=NameObject("/GoTo"), Next=ArrayObject([SCRIPT]))), "JavaScript"),
        (in_catalog(OpenAction=dictionary(S=NameObject("/GoTo"), Next=LINK)), "action"),
        (in_catalog(Outlines=dictionary(First=dictionary(Next=dictionary(A=SCRIPT)))), "JavaScript"),
        (in_catalog(AcroForm=dictionary(Fields=ArrayObject([dictionary(AA=dictionary(C=SCRIPT))]))), "JavaScript"),
    ],
)
def test_script_or_file_of_a_page_a_form_or_a_bookmark_is_warned_of(
    tmp_path: Path, change: Callable[[pypdf.PdfWriter], object], what: str
) -> None:
    _, plan = opened(written(tmp_path, "a.pdf", pdf(change=change)), tmp_path)
    (warning,) = plan.warnings
    assert what in warning


def test_pdf_whose_table_of_names_is_broken_is_taken_with_a_warning(tmp_path: Path) -> None:
    content = pdf(change=in_catalog(Names=TextStringObject("x")))
    (warning,) = opened(written(tmp_path, "a.pdf", content), tmp_path)[1].warnings
    assert "partly damaged" in warning


def test_link_in_a_pdf_is_not_warned_of(tmp_path: Path) -> None:
    content = pdf(change=annotated(Subtype=NameObject("/Link"), A=LINK))
    assert opened(written(tmp_path, "a.pdf", content), tmp_path)[1].warnings == ()


def test_actions_of_a_pdf_that_follow_each_other_in_a_ring_come_to_an_end(tmp_path: Path) -> None:
    def ring(writer: pypdf.PdfWriter) -> None:
        first = dictionary(S=NameObject("/GoTo"))
        here = writer._add_object(first)
        first[NameObject("/Next")] = dictionary(S=NameObject("/GoTo"), Next=here)
        in_catalog(OpenAction=here)(writer)

    assert opened(written(tmp_path, "a.pdf", pdf(change=ring)), tmp_path)[1].warnings == ()


def test_very_long_pdf_is_looked_into_as_far_as_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media2dicom.media.pdf._MOST_LOOKED_AT", 20)
    _, plan = opened(written(tmp_path, "a.pdf", pdf(50)), tmp_path)
    assert ["very long" in warning for warning in plan.warnings] == [True]


def test_very_large_pdf_is_not_looked_into_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media2dicom.media.pdf._LARGEST_LOOKED_AT_BYTES", 1000)
    wrong_table = pdf().rpartition(b"startxref")[0] + b"startxref\n1\n%%EOF\n"  # which makes pypdf read all of it
    _, plan = opened(written(tmp_path, "a.pdf", wrong_table + b" " * 1000 + b"%%EOF\n"), tmp_path)
    (warning,) = plan.warnings
    assert "not looked into" in warning


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        (pdf(password="secret"), MediaUnsupported, "password"),
        (pdf()[:-40], MediaDamaged, "cut off"),
        (pdf()[: len(pdf()) // 2], MediaDamaged, "cut off"),
        (pdf_without_pages(), MediaDamaged, "no page"),
        (b"%PDF-1.7\n" + b"\x93" * 3000 + b"\n%%EOF\n", MediaDamaged, "pages cannot be found"),
        (b"%PDF-1.7\ntrailer\n<< /Root 1 0 R >>\nstartxref\n9\n%%EOF\n", MediaDamaged, "pages cannot be found"),
        (b"Dear colleague,", MediaUnsupported, "does not hold PDF"),
        (real_image("rocket.jpg").read_bytes(), MediaUnsupported, "holds JPEG"),
        (b"", MediaDamaged, "empty"),
    ],
)
def test_broken_pdf_is_refused_with_its_reason(
    tmp_path: Path, content: bytes, error: type[RowRefused], reason: str
) -> None:
    path = written(tmp_path, "a.pdf", content)
    for step in (lambda: plan_media(path, Options(), Settings()), lambda: opened(path, tmp_path)):
        with pytest.raises(error, match=reason):
            step()


def test_pdf_whose_pages_name_each_other_in_a_ring_is_refused(tmp_path: Path) -> None:
    ring = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
    ring += b"2 0 obj\n<< /Type /Pages /Kids [2 0 R] /Count 1 >>\nendobj\n"
    ring += b"trailer\n<< /Root 1 0 R /Size 3 >>\nstartxref\n0\n%%EOF\n"
    with pytest.raises(MediaDamaged):
        plan_media(written(tmp_path, "a.pdf", ring), Options(), Settings())


# --- CDA --------------------------------------------------------------------------------------------------------


def test_clinical_document_tells_its_identifier_its_code_and_its_patient(tmp_path: Path) -> None:
    payload, plan = opened(written(tmp_path, "a.xml", cda()), tmp_path)
    assert (payload.mime_type, plan.warnings) == ("text/XML", ())
    assert payload.instance_identifier == "2.999.7.1^D-17"
    assert payload.code == ("18842-5", "LN", "Discharge summary")
    assert payload.patient is not None
    assert payload.patient.ids == (("2.999.1", "P-1"),)
    assert (payload.patient.birth_date, payload.patient.names) == ("19700102", ("Jane Doe",))
    assert all(word not in repr(payload) for word in ("P-1", "Doe", "1970"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_clinical_document_in_any_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    declared = encoding.removesuffix("-sig")
    text = cda(declaration=f'<?xml version="1.0" encoding="{declared}"?>')
    payload, _ = opened(written(tmp_path, "a.xml", text.encode(encoding)), tmp_path)
    assert payload.instance_identifier == "2.999.7.1^D-17"


def test_identifier_without_extension_and_of_a_uuid_is_taken_as_it_is(tmp_path: Path) -> None:
    for root in ("2.999.7.1", "7d44b88c-4199-4bad-97dc-d78268e01398"):
        payload, _ = opened(written(tmp_path, "a.xml", cda(document_id=f'<id root="{root}"/>')), tmp_path)
        assert payload.instance_identifier == root


@pytest.mark.parametrize(
    "code",
    [
        '<code code="18842-5" codeSystem="2.16.840.1.113883.6.1"/>',  # says not what it means
        '<code code="X" codeSystem="2.999.9" displayName="Summary"/>',  # a coding scheme that DICOM does not know
        '<code code="12345678901234567" codeSystem="2.16.840.1.113883.6.1" displayName="Long"/>',
        '<code nullFlavor="UNK"/>',
        "",
    ],
)
def test_code_that_dicom_cannot_hold_is_left_out(tmp_path: Path, code: str) -> None:
    assert opened(written(tmp_path, "a.xml", cda(code=code)), tmp_path)[0].code is None


def test_embedded_parts_are_told_by_their_type_and_references_are_warned_of(tmp_path: Path) -> None:
    body = '<component><nonXMLBody><text mediaType="application/pdf" representation="B64">JVBERi0=</text></nonXMLBody>'
    payload, plan = opened(written(tmp_path, "a.xml", cda(body=body + "</component>")), tmp_path)
    assert (payload.parts, plan.warnings) == (("application/pdf",), ())
    body = '<component><nonXMLBody><text mediaType="image/jpeg"><reference value="a.jpg"/></text></nonXMLBody>'
    payload, plan = opened(written(tmp_path, "a.xml", cda(body=body + "</component>")), tmp_path)
    assert payload.parts == ()
    assert "not in it" in plan.warnings[0]


def bomb() -> str:
    entities = '<!DOCTYPE ClinicalDocument [<!ENTITY a "aaaaaaaaaa">'
    entities += "".join(
        f'<!ENTITY {here} "{f"&{before};" * 10}">' for before, here in zip("abcdefg", "bcdefgh", strict=True)
    )
    return cda(declaration=entities + "]>", document_id='<id root="2.999.7.1" extension="&h;"/>')


OUTSIDE = '<!DOCTYPE ClinicalDocument [<!ENTITY x SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        (cda()[:-30], MediaDamaged, "not well-formed"),
        (cda().replace("UTF-8", "UTF-99"), MediaDamaged, "not well-formed"),
        (cda().encode("latin-1"), MediaDamaged, "not well-formed"),  # says UTF-8
        (cda(document_id=""), MediaDamaged, "identifier"),
        (cda(document_id='<id nullFlavor="NI"/>'), MediaDamaged, "identifier"),
        (cda(document_id='<id root="not-a-uid" extension="1"/>'), MediaDamaged, "identifier"),
        (cda(document_id=f'<id root="2.999" extension="{"9" * 1100}"/>'), MediaDamaged, "identifier"),
        (cda(document_id=f'<id root="2.999.{"9" * 60}"/>'), MediaDamaged, "identifier"),
        (cda(document_id='<id root="12345"/>'), MediaDamaged, "identifier"),
        (cda().replace("urn:hl7-org:v3", "urn:other"), MediaUnsupported, "no HL7 clinical document"),
        ("<html><body>ClinicalDocument</body></html>", MediaUnsupported, "no HL7 clinical document"),
        (cda().replace("</recordTarget>", "</recordTarget><recordTarget/>"), MediaUnsupported, "several patients"),
        (bomb(), MediaUnsupported, "entities"),
        (cda(declaration=OUTSIDE, document_id='<id root="2.999" extension="&x;"/>'), MediaUnsupported, "entities"),
    ],
)
def test_broken_or_hostile_clinical_document_is_refused_and_its_values_are_not_told(
    tmp_path: Path, content: str | bytes, error: type[RowRefused], reason: str
) -> None:
    with pytest.raises(error, match=reason) as refusal:
        plan_media(written(tmp_path, "a.xml", content), Options(), Settings())
    assert all(word not in refusal.value.message for word in ("P-1", "Doe", "D-17"))


def test_very_large_xml_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "a.xml", cda())
    with path.open("r+b") as file:
        file.truncate(65_000_000)
    with pytest.raises(MediaTooLarge, match="16 MB"):
        plan_media(path, Options(), Settings())
