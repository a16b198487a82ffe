"""How large a model is: none at all is refused, an unlikely size in the row's units is warned of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from media2dicom.errors import MediaDamaged
from media2dicom.model import Units

MILLIMETRES: Final = {Units.MM: 1.0, Units.CM: 10.0, Units.M: 1000.0, Units.UM: 0.001}
_PLAUSIBLE_MM: Final = (1.0, 2000.0)  # the longest side of what is printed or scanned of a person


@dataclass
class Extent:
    """The box around all vertices added; `add` takes any array of (..., 3)."""

    lowest: NDArray[Any] = field(default_factory=lambda: np.full(3, np.inf))
    highest: NDArray[Any] = field(default_factory=lambda: np.full(3, -np.inf))

    def add(self, vertices: NDArray[Any]) -> None:
        """Numbers that are none (NaN) count for nothing."""
        if vertices.size:
            flat = vertices.reshape(-1, 3)
            self.lowest = np.fmin(self.lowest, np.fmin.reduce(flat))
            self.highest = np.fmax(self.highest, np.fmax.reduce(flat))

    @property
    def longest(self) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            return float((self.highest - self.lowest).max())

    def refuse_point(self) -> None:
        """Raises MediaDamaged where all vertices are in one place."""
        if self.longest == 0:
            raise MediaDamaged("All vertices of the model are in one place: it has no size.")

    def warnings(self, units: Units) -> tuple[str, ...]:
        """What to say of the model's size, if its vertices are in these units."""
        longest_mm = self.longest * MILLIMETRES[units]
        least, most = _PLAUSIBLE_MM
        if least <= longest_mm <= most or not np.isfinite(longest_mm):
            return ()
        return (f"The model is {longest_mm:g} mm long if its units are {units}: check the column units.",)
