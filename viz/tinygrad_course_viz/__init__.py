"""Pictures of the graphs that `tinygrad_course` records: `draw_graph(loss)`."""

from .drawing import Drawing, draw_graph
from .render import RenderError

__all__ = ["Drawing", "RenderError", "draw_graph"]
