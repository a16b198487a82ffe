"""Task: What would be sent is complete and within the limits."""

from prefect import task

from media2dicom.model import Batch
from media2dicom.steps import check as step
from tasks.stepping import run_step, task_options


@task(**task_options("check"))
def check(batch: Batch) -> None:
    run_step(step.check, batch)
