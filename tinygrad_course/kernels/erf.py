"""The error function in NumPy, which has none; the approximations are those of the Cephes library.

It is worked out in double precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# |x| < 1: erf x = x · T(x²) / U(x²);  erfc |x| = e^(−x²) · P(|x|) / Q(|x|) below 8, R / S above
_T = (
    9.60497373987051638749,
    9.00260197203842689217e1,
    2.23200534594684319226e3,
    7.00332514112805075473e3,
    5.55923013010394962768e4,
)
_U = (
    1.0,
    3.35617141647503099647e1,
    5.21357949780152679795e2,
    4.59432382970980127987e3,
    2.26290000613890934246e4,
    4.92673942608635921086e4,
)
_P = (
    2.46196981473530512524e-10,
    5.64189564831068821977e-1,
    7.46321056442269912687,
    4.86371970985681366614e1,
    1.96520832956077098242e2,
    5.26445194995477358631e2,
    9.34528527171957607540e2,
    1.02755188689515710272e3,
    5.57535335369399327526e2,
)
_Q = (
    1.0,
    1.32281951154744992508e1,
    8.67072140885989742329e1,
    3.54937778887819891062e2,
    9.75708501743205489753e2,
    1.82390916687909736289e3,
    2.24633760818710981792e3,
    1.65666309194161350182e3,
    5.57535340817727675546e2,
)
_R = (
    5.64189583547755073984e-1,
    1.27536670759978104416,
    5.01905042251180477414,
    6.16021097993053585195,
    7.40974269950448939160,
    2.97886665372100240670,
)
_S = (
    1.0,
    2.26052863220117276590,
    9.39603524938001434673,
    1.20489539808096656605e1,
    1.70814450747565897222e1,
    9.60896809063285878198,
    3.36907645100081516050,
)


def _poly(coefficients: tuple[float, ...], x: Any) -> Any:
    out = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        out *= x
        out += c
    return out


def _near(x: Any) -> Any:
    square = np.minimum(x * x, 1.0)
    return x * _poly(_T, square) / _poly(_U, square)


def _far(a: Any) -> Any:
    """erfc a for a ≥ 1."""
    a = np.minimum(a, 30.0)  # the result is 0 from 27 on
    ratio = np.where(a < 8, _poly(_P, a) / _poly(_Q, a), _poly(_R, a) / _poly(_S, a))
    return np.exp(-a * a) * ratio


def erf(x: Any) -> Any:
    """2/√π ∫₀ˣ e^(−t²) dt."""
    a = np.abs(wide := x.astype(np.float64))
    out = np.where(a < 1, _near(wide), np.copysign(1 - _far(np.maximum(a, 1.0)), wide))
    return out.astype(x.dtype)


def erfc(x: Any) -> Any:
    """1 − erf x, exact where it is tiny."""
    a = np.abs(wide := x.astype(np.float64))
    far = _far(np.maximum(a, 1.0))
    out = np.where(a < 1, 1 - _near(wide), np.where(wide > 0, far, 2 - far))
    return out.astype(x.dtype)
