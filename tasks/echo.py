"""Task: does a server answer? Asked before its rows are begun, and once more when it does not."""

from prefect import task

from media2dicom.errors import NoPresentationContext, sealed
from media2dicom.pacs.associations import echo as step
from tasks.stepping import task_options, workbench


@task(**task_options("echo", "{server}"), retries=1)
def echo(run_id: str, server: str) -> None:
    settings = workbench(run_id).settings
    with sealed(f"C-ECHO to {server}"):
        try:
            step(settings.servers[server], settings)
        except NoPresentationContext:
            return  # it answers, only not to a C-ECHO
