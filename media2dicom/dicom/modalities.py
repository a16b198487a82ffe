"""Modality (0008,0060): its defined terms (PS3.3 C.7.3.1.1.1), and what became of the retired ones."""

from __future__ import annotations

from typing import Final

# As of edition 2020b, which the validators in use know.
MODALITIES: Final = frozenset(
    (
        *("AR", "AU", "BDUS", "BI", "BMD", "CR", "CT", "DG", "DOC", "DX", "ECG", "EPS", "ES", "FID", "GM", "HC", "HD"),
        *("IO", "IOL", "IVOCT", "IVUS", "KER", "KO", "LEN", "LS", "M3D", "MG", "MR", "NM", "OAM", "OCT", "OP", "OPM"),
        *("OPT", "OPTBSV", "OPTENF", "OPV", "OT", "PLAN", "PR", "PT", "PX", "REG", "RESP", "RF", "RG", "RTDOSE"),
        *("RTIMAGE", "RTPLAN", "RTRECORD", "RTSTRUCT", "RWV", "SEG", "SM", "SMR", "SR", "SRF", "STAIN", "TG", "US"),
        *("VA", "XA", "XC"),
    )
)
# The standard's own notes: XA incorporates DS; RF incorporates CF, DF and VF.
RETIRED_MODALITIES: Final = {"DS": "XA", "CF": "RF", "DF": "RF", "VF": "RF"}


def modality_of(text: str) -> str | None:
    """The defined term that `text` is, a retired one by its successor; None when it is none."""
    term = RETIRED_MODALITIES.get(text, text)
    return term if term in MODALITIES else None
