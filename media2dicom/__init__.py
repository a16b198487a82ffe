"""Media2DICOM's core: photos, videos and 3D models in, DICOM instances in the PACS out. Knows no Prefect."""

from importlib.metadata import version

__version__ = version("media2dicom")
