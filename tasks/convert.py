"""Task: Media in, DICOM instances in the cache."""

from prefect import task

from media2dicom.model import Batch
from media2dicom.steps import convert as step
from tasks.stepping import run_step, task_options


@task(**task_options("convert"))
def convert(batch: Batch) -> None:
    run_step(step.convert, batch)
