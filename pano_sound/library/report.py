"""The report of a library: JSON lines for programs, and a contact sheet for people, in one file.

Each result is shown as a strip of pictures, and as the camera's view over time: a band as wide as the view, over yaw
from -180° to 180°.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import quote

from ..options.flags import with_flags
from ..visualize.curve import curve_shapes
from .discover import report_name
from .records import STATES, FilmRecord

CARDS_A_PAGE = 1000
"""Films per page: as many as a browser shows easily."""
Look = tuple[bytes, list[list[float]]]

_ORDER = ("failed", "running", "waiting", "done", "duplicate", "skipped")
_WORDS = {
    "done": "made",
    "running": "being made",
    "waiting": "still to be made",
    "failed": "failed",
    "skipped": "no 360° footage that can be panned",
    "duplicate": "copies of other films",
}
assert set(_ORDER) == set(STATES)
_PLOT = 480, 72
_STYLE = """
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 1560px; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(480px, 1fr)); gap: 1rem; }
.card { border: 1px solid #8886; border-radius: 6px; overflow: hidden; }
.card img, .card svg { display: block; width: 100%; }
.card img { background: #000; }
.card svg { background: #111; }
.card p { margin: .4rem .7rem; overflow-wrap: anywhere; }
.name { font-weight: 600; } .small { opacity: .75; font-size: .9em; }
.error { color: #c0271a; } .warning { color: #a06a00; }
@media (prefers-color-scheme: dark) { .error { color: #ff8a7a; } .warning { color: #ffc857; } }
"""


def jsonl(rows: Iterable[FilmRecord]) -> bytes:
    """One JSON object a line for each film."""
    return "".join(json.dumps(row.to_json()) + "\n" for row in rows).encode()


def pages(rows: Sequence[FilmRecord], thumbnails: Iterable[Look], title: str) -> dict[str, bytes]:
    """The contact sheet: file name -> HTML; 'report.html' first.

    Args:
        thumbnails: for each row, its strip of pictures (JPEG; b'' for none) and its camera curve ([time, yaw, view]).
    """
    cards = sorted(zip(rows, thumbnails, strict=True), key=lambda card: (_ORDER.index(card[0].state), card[0].output))
    counts = {state: sum(row.state == state for row in rows) for state in _ORDER}
    names = page_names(len(cards))
    found = {}
    for i, name in enumerate(names):
        part = cards[i * CARDS_A_PAGE : (i + 1) * CARDS_A_PAGE]
        found[name] = _page(part, counts, title, names, i).encode("utf-8", "replace")
    return found


def page_names(films: int) -> list[str]:
    """The names of the pages for this number of films."""
    pages = max(1, -(-films // CARDS_A_PAGE))
    return ["report.html", *(f"report-{number}.html" for number in range(2, pages + 1))]


def _page(
    cards: list[tuple[FilmRecord, Look]], counts: dict[str, int], title: str, names: list[str], number: int
) -> str:
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
    total = ", ".join(f"{n} {_WORDS[state]}" for state, n in counts.items() if n)
    parts = [head, f"<h1>{escape(title)}</h1><p>{sum(counts.values())} films: {total or 'none'}</p>"]
    if len(names) > 1:
        links = " ".join(f"<b>{i + 1}</b>" if i == number else f"<a href={n}>{i + 1}</a>" for i, n in enumerate(names))
        parts.append(f"<p>pages: {links}</p>")
    for state in _ORDER:
        chosen = [card for card in cards if card[0].state == state]
        if chosen:
            parts.append(f"<h2>{_WORDS[state].capitalize()} ({counts[state]})</h2><div class=cards>")
            parts += [_card(row, *look) for row, look in chosen]
            parts.append("</div>")
    return "\n".join(parts) + "\n"


def _card(row: FilmRecord, jpeg: bytes, curve: list[list[float]]) -> str:
    lines = []
    if row.state == "done":
        if jpeg:
            data = base64.b64encode(jpeg).decode()
            lines.append(f'<img loading=lazy alt="" src="data:image/jpeg;base64,{data}">')
        lines.append(plot(curve))
        link = f'<a href="{escape(quote(row.output))}">{escape(row.output)}</a>'
        if "report_sha256" in row.made:
            link += f' (<a href="{escape(quote(report_name(row.output)))}">what was heard</a>)'
        width, height = row.made["size"]
        about = f"{_clock(row.made['seconds'])}, {width}x{height}, {row.made['bytes'] / 1e6:.1f} MB"
        about += f", made in {_clock(sum(row.made['took'].values()))}"
        lines += [f"<p class=name>{link}</p>", f"<p class=small>{about}</p>"]
    else:
        lines.append(f"<p class=name>{escape(row.output)}</p>")
    lines.append(f"<p class=small>of {escape(', '.join(row.paths))}</p>")
    if row.same_as:
        lines.append(f"<p>the same as {escape(row.same_as)}</p>")
    if row.error:
        lines.append(f"<p class={'error' if row.state == 'failed' else 'small'}>{escape(with_flags(row.error))}</p>")
    lines += [f"<p class=warning>{escape(with_flags(warning))}</p>" for warning in row.warnings]
    return f"<div class=card>{''.join(lines)}</div>"


def plot(curve: list[list[float]]) -> str:
    """A camera path as SVG: yaw over time as a band as wide as the view, broken where it crosses ±180°."""
    if not curve:
        return ""
    width, height = _PLOT
    end = max(curve[-1][0], 1e-3)
    shapes = [
        f'<line x1="0" x2="{width}" y1="{y * height:g}" y2="{y * height:g}" stroke="#fff" stroke-opacity=".2"/>'
        for y in (0.25, 0.5, 0.75)
    ]
    label = "where the camera looks: yaw from -180° (below) to 180° over time"
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}"><title>{label}</title>'
    return head + "".join(shapes) + curve_shapes(curve, width, height, end) + "</svg>"


def _clock(seconds: float) -> str:
    """75.2 -> '1:15', 12.3 -> '12.3 s'."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
