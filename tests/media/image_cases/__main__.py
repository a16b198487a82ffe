"""Writes docs/images.md on standard output."""

from tests.media.image_cases.page import page

print(page(), end="")
