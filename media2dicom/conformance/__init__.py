"""The DICOM conformance statement (PS3.2), made from the tables that the program itself works by.

One chapter a module; `statement` puts them together. Nothing here is told twice: names, types, statuses, limits and
defaults are imported from where they are used. What only a person can say is in sentences beside them.
"""

from media2dicom.conformance.statement import statement

__all__ = ["statement"]
