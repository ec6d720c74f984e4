"""Pictures of the graphs that `tinygrad_course` records: `draw_graph(loss)`."""

from .drawing import Drawing, draw_graph
from .render import RenderError
from .scopes import Calls, watch
from .stepping import BackwardDrawing, draw_backward, draw_scalars

__all__ = [
    "BackwardDrawing",
    "Calls",
    "Drawing",
    "RenderError",
    "draw_backward",
    "draw_graph",
    "draw_scalars",
    "watch",
]
