"""Task: Send what is left and prove that it arrived."""

from prefect import task

from media2dicom.model import Batch
from media2dicom.steps import store as step
from tasks.stepping import run_step, task_options


@task(**task_options("store"))
def store(batch: Batch) -> None:
    run_step(step.store, batch)
