"""The error function, and the activation that is made of it."""

from __future__ import annotations

import math

from tinygrad_course.devices import faster
from tinygrad_course.kernels import erf as numbers

from .elementwise import exp, unary

_DENSITY = 1 / math.sqrt(2 * math.pi)

erf = unary("erf", "2/√π ∫₀ˣ e^(−t²) dt", numbers.erf, math.erf,
            lambda g, out, x: g * exp(-x * x) * (2 / math.sqrt(math.pi)))
erfc = unary("erfc", "1 − erf x, exact where it is tiny", numbers.erfc, math.erfc,
             lambda g, out, x: g * exp(-x * x) * (-2 / math.sqrt(math.pi)))
# NumPy takes 80 ns for an element, a kernel 1
gelu = unary("gelu", "x Φ(x), Φ the normal distribution's cumulative function",
             faster("gelu", lambda x: x * numbers.erfc(x * -math.sqrt(0.5)) * 0.5, least=1 << 10),
             lambda x: x * math.erfc(x * -math.sqrt(0.5)) * 0.5,
             faster("gelu_back", lambda g, out, x: g * (erfc(x * -math.sqrt(0.5)) * 0.5 +
                                                        x * exp(x * x * -0.5) * _DENSITY),
                    least=1 << 10))
