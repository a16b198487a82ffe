"""Task: Find each row's study, fetch its header once, confirm the patient."""

from prefect import task

from media2dicom.model import Batch
from media2dicom.steps import retrieve as step
from tasks.stepping import run_step, task_options


@task(**task_options("retrieve"))
def retrieve(batch: Batch) -> None:
    run_step(step.retrieve, batch)
