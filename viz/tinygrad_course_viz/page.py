"""Pictures as one HTML file that needs no network and no server; in words below the picture."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from .dot import dot_text, node_id
from .views import View
from .words import spoken

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<header>
<div role="toolbar" aria-label="Picture">
<button id="back" title="Escape">close</button>
<label>showing <select id="where">{titles}</select></label>
<label>search <input id="search" type="search" title="/" autocomplete="off"></label>
<button id="in" title="+">+</button>
<button id="out" title="-">−</button>
<button id="fit" title="0">fit</button>
</div>
<p id="about" aria-live="polite">{help}</p>
<ul id="found"></ul>
</header>
<main>
{views}
</main>
<details>
<summary>The graph in words</summary>
<pre>{text}</pre>
</details>
<script type="application/json" id="data">{data}</script>
<script>
{script}
</script>
</body>
</html>
"""
HELP = (
    "A purple box opens with a click or Enter; a frame's name, Escape or the button closes it. "
    "Tab goes from box to box. Wheel or + and − zoom, drag or the arrow keys move, / searches."
)


@dataclass(slots=True)
class Page:
    """A view made ready for the page: DOT, words for every box, what opens, and the way back."""

    dot: str
    title: str
    parent: int | None
    first: str | None
    opens: dict[str, int]
    spoken: dict[str, str]

    @classmethod
    def of(cls, view: View) -> Page:
        """The view's picture in DOT, and its words."""
        return cls(
            dot_text(view.picture),
            view.title,
            view.parent,
            None if view.first is None else node_id(view.first),
            {node_id(key): to for key, to in view.opens.items()},
            {node_id(key): spoken(view.picture, key) for key in view.picture.records},
        )


def page(pages: Sequence[Page], drawn: Sequence[str], text: str) -> str:
    """One HTML file for all views: no network, no server."""
    sections = []
    for k, one in enumerate(drawn):
        named = re.sub(r'\bid="', f'id="v{k}-', one)
        hidden = " hidden" if k else ""
        sections.append(f'<section class="view" id="view-{k}"{hidden}>{named}</section>')
    data = json.dumps(
        [
            {
                "title": p.title,
                "parent": p.parent,
                "first": p.first,
                "opens": p.opens,
                "spoken": p.spoken,
            }
            for p in pages
        ],
        ensure_ascii=False,
    )
    return PAGE.format(
        title=escape(text.partition("\n")[0]),
        help=HELP,
        titles="".join(f"<option>{escape(p.title)}</option>" for p in pages),
        views="\n".join(sections),
        text=escape(text),
        data=data.replace("<", "\\u003c"),
        style=asset("graph.css"),
        script=asset("graph.js"),
    )


STEPS = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The backward pass, step by step</title>
<style>
{style}
</style>
</head>
<body>
<header>
<div role="toolbar" aria-label="Steps">
<button id="first" title="Home">start</button>
<button id="previous" title="left arrow">previous</button>
<input id="slider" type="range" min="0" max="{count}" value="0" aria-label="step">
<button id="next" title="right arrow">next</button>
<button id="last" title="End">end</button>
<output id="count">0 of {count}</output>
</div>
<p id="words" aria-live="polite"></p>
</header>
<main id="graph">
{svg}
</main>
<dialog id="zoom" aria-label="The operation, number by number">
<button id="back" title="Escape">back</button>
{zooms}
</dialog>
<details>
<summary>All steps in words</summary>
<pre>{text}</pre>
</details>
<script type="application/json" id="data">{data}</script>
<script>
{script}
</script>
</body>
</html>
"""


def asset(name: str) -> str:
    """A style sheet or script that stands beside this file, to be put into a page."""
    return (Path(__file__).parent / "assets" / name).read_text(encoding="utf-8")
