"""What a soak run has measured, for people."""

from __future__ import annotations


def show(title: str, **values: object) -> None:
    """A small table on standard output (`pytest -s`)."""
    print(f"\n{title}")
    for name, value in values.items():
        print(f"  {name:28}{value:12.1f}" if isinstance(value, float) else f"  {name:28}{value!s:>12}", flush=True)
