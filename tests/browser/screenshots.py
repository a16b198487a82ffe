"""`make screenshots`: the pictures of docs/operations.md, taken anew of a few days in a lab (scenes.py).

Everything is made up and lies in a folder of its own, whose name is short because some pictures show it.
"""

from __future__ import annotations

import shutil
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser.browser import Page, chromium
from tests.browser.scenes import play
from tests.prefect_server import RunningUp, running

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MAX_BYTES = 150_000
WIDTH = 1300


class Camera:
    """Takes what the page shows, in few colours: the files are small and look the same."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def open(self, path: str, height: int = 900) -> Page:
        self._page.driver.set_window_size(WIDTH, height)
        self._page.open(path)
        return self._page

    def take(self, name: str) -> None:
        self._page.at_rest()
        picture = Image.open(BytesIO(self._page.driver.get_screenshot_as_png())).convert("RGB")
        path = IMAGES / f"{name}.png"
        picture.quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
        assert path.stat().st_size <= MAX_BYTES, f"{path} is too large for a page"


def take_all(up: RunningUp, runs: dict[str, str], camera: Camera) -> None:
    def artifact(run: str, kind: str) -> str:
        found: list[dict[str, Any]] = up.client.post(
            "artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [runs[run]]}, "type": {"any_": [kind]}}}
        )
        return f"/artifacts/artifact/{found[0]['id']}"

    def form(deployment: str) -> str:
        there = up.client.get(f"deployments/name/{deployment}/{deployment}")
        return f"/deployments/deployment/{there['id']}/run"

    camera.open("/runs", 1350).see("night of")
    camera.take("runs")
    page = camera.open(f"/runs/flow-run/{runs['failed']}", 1080)
    page.tab("Artifacts")
    page.see("rows-photographs")
    page.to_top()
    camera.take("failed-run")
    page.click(".page-heading__trailing button", "Retry")
    page.see("This will retry flow run")
    camera.take("retry")
    camera.open(artifact("failed", "table"), 700).see("PACS out of resources")
    camera.take("rows")
    camera.open(artifact("failed", "markdown"), 1150).see("To go on:")
    camera.take("summary")
    camera.open(artifact("check", "table"), 750).see("study not found")
    camera.take("check")
    camera.open(artifact("night", "markdown"), 1000).see("Needs attention")
    camera.take("night")
    page = camera.open(f"/runs/flow-run/{runs['approval']}", 800)
    page.click("button", "Resume")
    page.see("Nothing has been sent yet.")
    camera.take("approval")
    page = camera.open(form("archive-manifest"), 900)
    page.choose("manifest", "endoscopy week 47.csv")
    camera.take("form")
    page = camera.open(form("retry-failed-sends"), 900)
    page.choose("manifest", "attention/photographs week 46.csv")
    camera.take("retry-form")


def main() -> None:
    folder = Path(tempfile.gettempdir()) / "lab"
    folder.mkdir()  # one that is there is not ours
    IMAGES.mkdir(exist_ok=True)
    nightly = {"cron": "0 2 * * *", "timezone": "UTC", "quiet_s": 1}
    try:
        with (
            running(folder, {"inbox_dir": "inbox", "nightly": nightly}) as up,
            chromium(folder, (WIDTH, 900)) as driver,
        ):
            take_all(up, play(up), Camera(Page(driver, up.url, Path(tempfile.gettempdir()))))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
