"""Pictures of the graphs that `tinygrad_course` records: `draw_graph(loss)`."""

from .drawing import Drawing, draw_graph
from .render import RenderError
from .stepping import BackwardDrawing, draw_backward, draw_scalars

__all__ = [
    "BackwardDrawing",
    "Drawing",
    "RenderError",
    "draw_backward",
    "draw_graph",
    "draw_scalars",
]
