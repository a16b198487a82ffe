"""Models with companions and documents on their whole way to a PACS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from media2dicom.steps.workbench import Workbench
from tests.media import making_models
from tests.steps import walking
from tests.steps.walking import STORED, cells_of, outcomes, walk


def test_models_and_documents_are_stored_once_and_another_patients_document_is_refused(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    patient_id = str(study.PatientID)
    making_models.obj_with_mtl(lab / "models", "knee")
    making_models.exported(lab, "glb")
    (lab / "letter.pdf").write_bytes(making_models.pdf())
    own = making_models.PATIENT_ROLE.replace("P-1", patient_id).replace("19700102", "19610203")
    own = own.replace("<given>Jane</given><family>Doe</family>", str(study.PatientName).replace("^", " "))
    (lab / "own.xml").write_text(making_models.cda(patient_role=own))
    (lab / "others.xml").write_text(making_models.cda())
    rows = [
        cells_of(study, media="models/knee.obj"),
        cells_of(study, media="model.glb", convert_to_stl="yes"),
        cells_of(study, media="model.glb"),
        cells_of(study, media="letter.pdf"),
        cells_of(study, media="own.xml"),
        cells_of(study, media="others.xml"),
    ]
    sheet = walking.manifest(lab, rows)
    found = walk(bench, sheet)
    refused = [("REFUSED", "option-refused"), ("REFUSED", "identity-mismatch")]
    assert outcomes(found) == [STORED, STORED, refused[0], STORED, STORED, refused[1]]
    assert len(observed.held()) == 5
    walk(bench, sheet)
    assert len(observed.received) == 5


def test_material_library_altered_after_reading_is_refused_and_in_a_new_run_another_object(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making_models.obj_with_mtl(lab, "knee")
    library = lab / "knee.mtl"
    sheet = walking.manifest(lab, [cells_of(study, media="knee.obj")])

    def altering(*given: Any) -> Any:
        library.write_text(making_models.MTL.replace("0.9", "0.1"))
        return retrieve(*given)

    retrieve = walking.STEPS[0]
    with monkeypatch.context() as patch:
        patch.setattr(walking, "STEPS", (altering, *walking.STEPS[1:]))
        assert outcomes(walk(bench, sheet)) == [("REFUSED", "media-changed")]
    assert observed.held() == []

    assert outcomes(walk(bench, sheet)) == [STORED]
    first = observed.held()
    library.write_text(making_models.MTL.replace("0.9", "0.2"))
    assert outcomes(walk(bench, sheet)) == [STORED]
    assert len(observed.held()) == len(first) + 2
