"""ffmpeg as a killable child process. What is asked of it, and what its answers mean, is its callers'."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Final

import imageio_ffmpeg

from media2dicom.errors import CacheFailed, Media2DicomError, MediaDamaged, ProgramFailed
from media2dicom.media.containers import Container
from media2dicom.media.ffmpeg_log import LogLine, log_line

# Hostile input: the demuxer is forced (Container.demuxer), so that a playlist named .mp4 opens no other file; only
# local files and pipes may be opened at all; any fault that ffmpeg notices ends it with an error instead of a gap.
_SAFE_INPUT: Final = ("-protocol_whitelist", "file,pipe", "-err_detect", "explode")
# The frames in flight, and with them the memory, would grow with the cores of the machine.
_DECODER_THREADS: Final = 4
_DISK_FULL: Final = "No space left on device"
# Of the scaler: without these, colours are 1 to 3 levels too dark (measured), and chroma is not interpolated.
EXACT: Final = "flags=bicubic+accurate_rnd+full_chroma_int"


@dataclass
class Ffmpeg:
    """A running ffmpeg: its standard output, and what it complained about."""

    process: subprocess.Popen[bytes]
    complaints: list[str] = field(default_factory=list)
    feeder: threading.Thread | None = None
    fault: Media2DicomError | None = None  # of what it was fed
    log_understood: bool = True
    log_ended: threading.Event = field(default_factory=threading.Event)

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def finish(self) -> None:
        """Wait for the end. Raises MediaDamaged when ffmpeg found a fault, ProgramFailed when it was killed."""
        returncode = self.process.wait()
        self.log_ended.wait()
        if self.feeder is not None:
            self.feeder.join()
        if self.fault is not None:
            raise self.fault
        if not self.log_understood:
            raise log_not_understood()
        if returncode < 0:
            raise ProgramFailed(f"ffmpeg was ended by signal {-returncode}.")
        if returncode > 0:  # with -xerror; lines of the log alone are no fault, decoders grumble at sound files
            reason = self.complaints[0] if self.complaints else f"ffmpeg ended with code {returncode}"
            if any(_DISK_FULL in complaint for complaint in self.complaints):
                raise CacheFailed("The video could not be written: the disk is full.")
            raise MediaDamaged(f"The video is damaged: {reason}.")


def log_not_understood() -> ProgramFailed:
    return ProgramFailed("ffmpeg's log cannot be understood.", next_step="Save the video anew, then retry.")


@contextmanager
def running_ffmpeg(
    path: Path,
    container: Container,
    output: Sequence[str],
    *,
    on_line: Callable[[LogLine], None] = lambda line: None,
    on_end: Callable[[], None] = lambda: None,
    max_pixels: int,
    filter_script: str | None = None,
    input_options: Sequence[str] = (),
) -> Iterator[Ffmpeg]:
    """ffmpeg reading `path`; `output` are its options after the input.

    `on_line` gets each line of ffmpeg's own in its log, `on_end` is called after the last; both from a thread of
    their own, so that a full log never blocks. Whatever happens, the process is gone when the context is left. The
    log may hold what the file says of its patient (title, comment): it is read, never kept nor logged.
    """
    command = [_executable(), "-nostdin", "-hide_banner", "-loglevel", "level+info", "-nostats", "-xerror", "-y"]
    command += ["-threads", str(_DECODER_THREADS), "-max_pixels", str(max_pixels), *_SAFE_INPUT]
    command += [*container.input_options, *input_options, "-f", container.demuxer]
    fed, feeding = os.pipe() if container.feed else (None, None)
    command += ["-i", f"file:{path.absolute()}" if fed is None else f"pipe:{fed}"]
    if filter_script is not None:
        command += ["-/filter:v", "pipe:0"]  # the script has no limit of length there, an argument has
    process = subprocess.Popen(
        [*command, *output],
        stdin=subprocess.DEVNULL if filter_script is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[] if fed is None else [fed],
    )
    ffmpeg = Ffmpeg(process)
    drain = threading.Thread(target=_drain, args=(ffmpeg, on_line, on_end), name="ffmpeg-log", daemon=True)
    drain.start()
    if fed is not None and feeding is not None:
        os.close(fed)
        ffmpeg.feeder = threading.Thread(target=_feed, args=(ffmpeg, container, path, feeding), daemon=True)
        ffmpeg.feeder.start()
    try:
        if filter_script is not None:
            _tell(process, filter_script)
        yield ffmpeg
    finally:
        process.kill()
        process.wait()
        drain.join()
        if ffmpeg.feeder is not None:
            ffmpeg.feeder.join()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@dataclass(frozen=True)
class PixelFormat:
    """What the samples of a picture are."""

    bits: int  # the most that a sample has
    has_alpha: bool


@cache
def _pixel_formats() -> dict[str, PixelFormat]:
    """By ffmpeg's names. Its table has flags, name, components, bits a pixel, bits of each component."""
    table = subprocess.run([_executable(), "-hide_banner", "-pix_fmts"], capture_output=True, text=True, check=True)
    rows = (line.split() for line in table.stdout.partition("-----\n")[2].splitlines())
    return {
        name: PixelFormat(max(map(int, bits.split("-"))), components in ("2", "4"))
        for _flags, name, components, _bits_a_pixel, bits in rows
    }


def pixel_format(name: str) -> PixelFormat:
    """8 bits without transparency where ffmpeg does not know it."""
    return _pixel_formats().get(name, PixelFormat(8, False))


def _executable() -> str:
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        raise ProgramFailed("ffmpeg was not found.", next_step="Install imageio-ffmpeg again.") from None


def _tell(process: subprocess.Popen[bytes], filter_script: str) -> None:
    assert process.stdin is not None
    try:
        with process.stdin:
            process.stdin.write(filter_script.encode("ascii"))
    except BrokenPipeError:
        pass  # ffmpeg gave up before it read the script: its log says why


def _feed(ffmpeg: Ffmpeg, container: Container, path: Path, feeding: int) -> None:
    assert container.feed is not None
    try:
        with open(feeding, "wb") as target:
            container.feed(path, target)
    except BrokenPipeError:
        pass  # ffmpeg has all it wants, or gave up: its log says why
    except Media2DicomError as error:
        ffmpeg.fault = error
        ffmpeg.process.kill()
    except OSError as error:
        ffmpeg.fault = MediaDamaged(f"The video cannot be read: {error.strerror}.")
        ffmpeg.process.kill()


def _drain(ffmpeg: Ffmpeg, on_line: Callable[[LogLine], None], on_end: Callable[[], None]) -> None:
    assert ffmpeg.process.stderr is not None
    try:
        for raw in ffmpeg.process.stderr:
            line = log_line(raw.decode("utf-8", "replace").rstrip())
            if line is None:
                continue
            if line.is_severe and len(ffmpeg.complaints) < 5:
                text = line.text.strip().rstrip(".")
                # A line that names the file may hold a patient's name.
                ffmpeg.complaints.append("it cannot be opened" if "file:" in text else text)
            on_line(line)
    except Exception:  # noqa: BLE001  # its text may hold the line; a log that nobody reads on would block ffmpeg
        ffmpeg.log_understood = False
        ffmpeg.process.kill()
    finally:
        ffmpeg.log_ended.set()
        on_end()
