"""The global concurrency limit of each PACS: made from the settings, held while a batch is there, strict and leased."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from media2dicom.settings import Server, Settings, load_settings
from tests.prefect_server import RunningUp

WAIT_S = 30
LEASE_OVER_WITHIN_S = 180  # a minute, Prefect's shortest lease, and its service's round


@pytest.fixture
def settings(prefect_server: None, configured: Callable[..., Path]) -> Settings:
    """Two PACS, one of them under two names."""
    configured(
        archive=Server(host="127.0.0.1", port=10401, ae_title="A", max_associations=2),
        backup=Server(host="127.0.0.1", port=10402, ae_title="B"),
        zweitname=Server(host="127.0.0.1", port=10402, ae_title="C", max_associations=5),
    )
    return load_settings()


def limit(name: str) -> Any:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.read_global_concurrency_limit_by_name(name)


def test_every_pacs_gets_a_limit_of_its_associations_and_it_follows_the_settings(
    settings: Settings, configured: Callable[..., Path]
) -> None:
    from tasks.slots import create_limits

    create_limits(settings)
    assert (limit("pacs-archive").limit, limit("pacs-backup").limit) == (2, 1)
    configured(archive=Server(host="127.0.0.1", port=10401, ae_title="A", max_associations=3))
    create_limits(load_settings())
    assert limit("pacs-archive").limit == 3


def test_a_limit_that_is_missing_is_an_error_that_may_pass_and_nothing_runs(
    prefect_server: None, configured: Callable[..., Path]
) -> None:
    from tasks.slots import SharedSlots, SlotNotGranted

    configured(unheard=Server(host="127.0.0.1", port=10403, ae_title="A"))
    with pytest.raises(SlotNotGranted, match="pacs-unheard") as caught, SharedSlots(load_settings())["unheard"]:
        pytest.fail("a missing limit was taken for none")
    assert caught.value.transient


def test_two_names_of_one_pacs_share_its_slot_and_a_process_elsewhere_waits_for_it(settings: Settings) -> None:
    """The other process has a data_dir of its own, as another machine has: no lock file is shared."""
    from tasks.slots import SharedSlots, create_limits

    create_limits(settings)
    program = textwrap.dedent(
        """
        import sys
        from media2dicom.settings import load_settings
        from tasks.slots import SharedSlots
        settings = load_settings()
        print("begun", flush=True)
        with SharedSlots(settings)["zweitname"]:
            print("in", flush=True)
        """
    )
    slots = SharedSlots(settings)
    said: list[str] = []
    inside = threading.Event()
    with slots["backup"]:
        other = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program],
            env={**_environment(), "MEDIA2DICOM_DATA_DIR": str(settings.data_dir.parent / "elsewhere")},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"

        def read() -> None:
            assert other.stdout is not None
            said.append(other.stdout.readline())
            inside.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert not inside.wait(3)  # it asks again every few seconds
    assert inside.wait(WAIT_S)
    reader.join()
    assert (said, other.wait(WAIT_S)) == (["in\n"], 0)
    other.stdout.close()


def test_a_slot_that_never_comes_free_is_not_waited_for_for_ever(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import slots

    slots.create_limits(settings)
    elsewhere = settings.model_copy(update={"data_dir": settings.data_dir.parent / "elsewhere"})
    monkeypatch.setattr(slots, "_WAIT_S", 1)
    with slots.SharedSlots(settings)["backup"]:
        with pytest.raises(slots.SlotNotGranted) as caught, slots.SharedSlots(elsewhere)["backup"]:
            pytest.fail("more were let in than the PACS takes")
        assert caught.value.transient


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_a_slot_is_leased_so_that_a_killed_holder_frees_it(up: RunningUp) -> None:
    program = textwrap.dedent(
        """
        import time
        from media2dicom.settings import load_settings
        from tasks.slots import SharedSlots
        with SharedSlots(load_settings())["second"]:
            print("in", flush=True)
            time.sleep(600)
        """
    )
    limit = "v2/concurrency_limits/pacs-second"
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**up.environment, "PREFECT_API_URL": up.api_url},
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "in\n"
        assert up.client.get(limit)["active_slots"] == 1
        holder.kill()
    end = time.monotonic() + LEASE_OVER_WITHIN_S
    while up.client.get(limit)["active_slots"] and time.monotonic() < end:
        time.sleep(1)
    assert up.client.get(limit)["active_slots"] == 0


def _environment() -> dict[str, str]:
    from prefect.settings import PREFECT_API_URL

    return {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
