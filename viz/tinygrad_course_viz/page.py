"""A picture as one HTML file: no network, no script; the text form is below the picture."""

from __future__ import annotations

from html import escape

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
