"""Task: every row of the batch ends with an outcome."""

from prefect import task

from media2dicom.errors import sealed
from media2dicom.model import Batch
from media2dicom.steps import record as step
from tasks.stepping import task_options, workbench


@task(**task_options("record"))
def record(batch: Batch) -> None:
    with sealed(f"Recording {batch.label}"):
        step.record(workbench(batch.run_id), batch)
