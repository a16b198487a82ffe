"""Models and documents for the tests, made on the fly: OBJ with MTL, other formats by trimesh, PDF by pypdf, a CDA."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pypdf
import trimesh
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, TextStringObject

from tests.real_media import sphere

MTL = "newmtl bone\nKd 0.9 0.85 0.7\nnewmtl skin\nKd 0.8 0.6 0.5\n"


def sphere_mesh(triangles: int = 256) -> trimesh.Trimesh:
    """The bumpy sphere of 50 mm, each triangle with corners of its own."""
    vertices = sphere(triangles).reshape(-1, 3)
    return trimesh.Trimesh(vertices, np.arange(len(vertices)).reshape(-1, 3), process=False)


def obj(libraries: str = "", *, triangles: int = 256) -> str:
    """The sphere as a text of OBJ; `libraries`: lines that go first."""
    corners = sphere(triangles).reshape(-1, 3)
    lines = ["# made for a test", *libraries.splitlines(), "o part"]
    lines += ["v " + " ".join(f"{float(x):.9g}" for x in corner) for corner in corners]
    lines += ["vt 0 0", "vn 0 0 1", "usemtl bone"]
    lines += [f"f {i}/1/1 {i + 1}/1/1 {i + 2}/1/1" for i in range(1, len(corners), 3)]
    return "\n".join([*lines, ""])


def obj_with_mtl(folder: Path, name: str = "model") -> Path:
    """NAME.obj with its NAME.mtl beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.mtl").write_text(MTL)
    path = folder / f"{name}.obj"
    path.write_text(obj(f"mtllib {name}.mtl"))
    return path


def exported(folder: Path, suffix: str, *, factor: float = 1, **how: object) -> Path:
    """The sphere, that many times as large, as trimesh writes it: ply, off, 3mf, glb, obj."""
    path = folder / f"model.{suffix}"
    data = sphere_mesh().apply_scale(factor).export(file_type=suffix, **how)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def pdf(
    pages: int = 2,
    *,
    title: str = "",
    password: str | None = None,
    owner_password: str | None = None,
    scripted: bool = False,
    attachment: bytes = b"",
    opening: str = "",
    change: Callable[[pypdf.PdfWriter], object] = lambda writer: None,
) -> bytes:
    """A PDF of blank pages."""
    writer = pypdf.PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(width=200, height=300)
    if title:
        writer.add_metadata({"/Title": title})
    if scripted:
        writer.root_object[NameObject("/Names")] = DictionaryObject(
            {NameObject("/JavaScript"): DictionaryObject({NameObject("/Names"): ArrayObject()})}
        )
    if attachment:
        writer.add_attachment("data.bin", attachment)
    if opening:
        action = DictionaryObject({NameObject("/S"): NameObject(opening), NameObject("/F"): TextStringObject("x")})
        writer.root_object[NameObject("/OpenAction")] = action
    change(writer)
    if password is not None or owner_password is not None:
        writer.encrypt(password or "", owner_password, algorithm="AES-256")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def pdf_without_pages() -> bytes:
    writer = pypdf.PdfWriter()
    writer.root_object["/Pages"].get_object()[NameObject("/Kids")] = ArrayObject()
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


PATIENT_ROLE = """
    <id root="2.999.1" extension="P-1"/>
    <patient>
      <name><given>Jane</given><family>Doe</family></name>
      <administrativeGenderCode code="F" codeSystem="2.16.840.1.113883.5.1"/>
      <birthTime value="19700102"/>
    </patient>"""
BODY = """
  <component><structuredBody><component><section>
    <title>Findings</title><text>Nothing remarkable: größer als 3 mm.</text>
  </section></component></structuredBody></component>"""


def cda(
    *,
    patient_role: str = PATIENT_ROLE,
    document_id: str = '<id root="2.999.7.1" extension="D-17"/>',
    code: str = '<code code="18842-5" codeSystem="2.16.840.1.113883.6.1" displayName="Discharge summary"/>',
    body: str = BODY,
    declaration: str = '<?xml version="1.0" encoding="UTF-8"?>',
) -> str:
    """A clinical document, HL7 CDA Release 2, about Jane Doe, P-1."""
    return f"""{declaration}
<ClinicalDocument xmlns="urn:hl7-org:v3">
  <realmCode code="US"/>
  <typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
  {document_id}
  {code}
  <title>Summary for Jane Doe</title>
  <effectiveTime value="20240301101500+0100"/>
  <confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/>
  <languageCode code="en"/>
  <recordTarget><patientRole>{patient_role}
  </patientRole></recordTarget>
  <author><time value="20240301"/><assignedAuthor><id root="2.999.3" extension="A-1"/></assignedAuthor></author>
  <custodian><assignedCustodian><representedCustodianOrganization><id root="2.999.4"/>
  </representedCustodianOrganization></assignedCustodian></custodian>{body}
</ClinicalDocument>
"""
