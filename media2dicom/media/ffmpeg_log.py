"""What ffmpeg says in its log. Titles, comments and names of the file stand in the same log: they are told apart here,
by the form of ffmpeg's own lines, and never read on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

# With -loglevel level+info. Lines of a text that goes on have no such beginning.
_LINE: Final = re.compile(r"(?:\[([^\]]*) @ 0x[0-9a-f]+\] )*\[([a-z]+)\] (.*)", re.DOTALL)
_SEVERE: Final = ("error", "fatal", "panic")
# The depth of indenting tells what a line is about: streams 2, what a file or a stream says of itself 4 and 8.
_INPUT: Final = "Input #0, "
_STREAM: Final = re.compile(
    r"  Stream #0:(\d+)(?:\[0x[0-9a-f]+\])?(?:\(.*?\))?: (Video|Audio|Subtitle|Data|Attachment|Unknown): (.*)"
)
_TURNED: Final = re.compile(r" {8}displaymatrix: rotation of (-?[\d.]+) degrees")
_PIXELS: Final = re.compile(r", ([a-z0-9]+)(?:\(((?:[^()]|\([^()]*\))*)\))?, \d+x\d+")
_RATE: Final = re.compile(r", ([\d.]+) fps\b")
_MATRICES: Final = frozenset(
    {"bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "ycgco", "ycgco-re", "ycgco-ro", "bt2020nc", "bt2020c"}
    | {"smpte2085", "chroma-derived-nc", "chroma-derived-c", "ictcp", "ipt-c2", "gbr"}
)
_HIGH_DYNAMIC_RANGE: Final = ("smpte2084", "arib-std-b67")  # perceptual quantizer, hybrid log-gamma


@dataclass(frozen=True)
class LogLine:
    speaker: str  # the part of ffmpeg, such as "h264"; "" where it does not say
    severity: str
    text: str

    @property
    def is_severe(self) -> bool:
        return self.severity in _SEVERE


def log_line(line: str) -> LogLine | None:
    """None for what is no line of ffmpeg's own."""
    found = _LINE.fullmatch(line)
    return LogLine(found[1] or "", found[2], found[3]) if found else None


@dataclass
class Stream:
    """A stream of the input as ffmpeg describes it."""

    index: int
    kind: str  # Video, Audio, Subtitle, Data, Attachment
    description: str
    has_display_matrix: bool = False  # it is displayed rotated or mirrored
    quarter_turn: bool = False

    @property
    def is_video(self) -> bool:
        return self.kind == "Video" and "(attached pic)" not in self.description

    @property
    def is_default(self) -> bool:
        return "(default)" in self.description

    @property
    def pixel_format(self) -> str:
        """ffmpeg's name for it, "" where it is not known."""
        found = _PIXELS.search(self.description)
        return found[1] if found else ""

    @property
    def is_full_range(self) -> bool:
        return self.pixel_format.startswith("yuvj") or "pc" in self._remarks

    @property
    def tells_matrix(self) -> bool:
        return any(remark.partition("/")[0] in _MATRICES for remark in self._remarks)

    @property
    def has_high_dynamic_range(self) -> bool:
        return any(remark.rpartition("/")[2] in _HIGH_DYNAMIC_RANGE for remark in self._remarks)

    @property
    def is_interlaced(self) -> bool:
        return any(remark.startswith(("top ", "bottom ")) for remark in self._remarks)

    @property
    def frames_per_s(self) -> float:
        """On average, to two decimals; 0 where it is not known."""
        found = _RATE.search(self.description)
        return float(found[1]) if found else 0.0

    @property
    def _remarks(self) -> list[str]:
        """On the pixels: range, matrix/primaries/transfer (once where all are the same), order of fields."""
        found = _PIXELS.search(self.description)
        return (found[2] or "").split(", ") if found else []


@dataclass
class InputStreams:
    """The streams of the file that is read, gathered from the log as it comes."""

    streams: list[Stream] = field(default_factory=list)
    _within: bool = False

    def take(self, line: LogLine) -> None:
        if line.speaker or line.severity != "info":
            return
        if not line.text.startswith(" "):  # the input, the mapping of streams, the output
            self._within = line.text.startswith(_INPUT)
        elif self._within and (found := _STREAM.fullmatch(line.text)):
            self.streams.append(Stream(int(found[1]), found[2], found[3]))
        elif self._within and self.streams and (found := _TURNED.fullmatch(line.text)):
            self.streams[-1].has_display_matrix = True
            self.streams[-1].quarter_turn = round(float(found[1])) % 180 == 90

    @property
    def videos(self) -> list[Stream]:
        """Without covers."""
        return [stream for stream in self.streams if stream.is_video]

    @property
    def has_sound(self) -> bool:
        return any(stream.kind == "Audio" for stream in self.streams)
