"""A picture as one HTML file: no network, no script; the text form is below the picture."""

from __future__ import annotations

from html import escape
from pathlib import Path

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font-family: Helvetica, Arial, sans-serif; margin: 1rem; background: white; color: black }}
main {{ overflow: auto }}
pre {{ white-space: pre-wrap }}
</style>
</head>
<body>
<main role="img" aria-label="The graph; it is told in words below.">
{svg}
</main>
<details>
<summary>The graph in words</summary>
<pre>{text}</pre>
</details>
</body>
</html>
"""


def page(svg: str, text: str) -> str:
    """The page around an `<svg>` element and the text form of the same picture."""
    return PAGE.format(title=escape(text.partition("\n")[0]), svg=svg, text=escape(text))


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
