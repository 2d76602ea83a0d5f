"""A transcript in a notebook: each segment's words on a timeline."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigastt._results import Segment, Word

_PIXELS_PER_SECOND = 90
_ROW_PIXELS = 28
SEGMENTS_MAX = 200
"""Segments that are drawn; a longer transcript says how many are left out."""


def timeline(segments: tuple[Segment, ...]) -> str:
    """HTML without scripts, so that it shows in every notebook, also one that is not trusted."""
    drawn = segments[:SEGMENTS_MAX]
    left_out = len(segments) - len(drawn)
    more = f"<p>and {left_out} more segments</p>" if left_out else ""
    return f'<div class="gigastt">{"".join(map(_segment, drawn))}{more}</div>'


def _segment(segment: Segment) -> str:
    width = max(1, round((segment.end - segment.start) * _PIXELS_PER_SECOND))
    words = "".join(_word(word, segment.start) for word in segment.words)
    head = f"<small>{segment.start:.2f} to {segment.end:.2f} s, {escape(segment.endpoint_reason)}</small>"
    row = f"position:relative;height:{_ROW_PIXELS}px;width:{width}px;background:#8881"
    return f'{head}<div style="overflow-x:auto"><div style="{row}">{words}</div></div>'


def _word(word: Word, start: float) -> str:
    left = round((word.start - start) * _PIXELS_PER_SECOND)
    width = max(1, round((word.end - word.start) * _PIXELS_PER_SECOND))
    place = f"position:absolute;left:{left}px;min-width:{width}px;opacity:{0.4 + 0.6 * word.confidence:.2f}"
    title = f"{word.start:.2f} to {word.end:.2f} s, confidence {word.confidence:.2f}"
    return f'<span style="{place};border-left:1px solid #08f" title="{title}">{escape(word.text)}</span>'
