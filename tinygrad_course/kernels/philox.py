"""Random bits from a counter: the i-th number of the n-th draw is a function of (seed, n, i).

Philox 4x32 with 10 rounds (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011). Each
round multiplies two of the four words by constants and mixes the halves of the products into the
other two. No number depends on the one before it, so a thousand threads draw at once, and the state
of the source is two integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
STEPS = (0x9E3779B9, 0xBB67AE85)  # what is added to the two halves of the key after a round
MASK = 0xFFFFFFFF


def philox(out: Any, seed: int, draw: int) -> None:
    """Fill a row of uint32 with the bits of draw number `draw`: word j of block i at 4 i + j."""
    blocks = np.arange(-(-out.size // 4), dtype=np.uint64, like=out)
    zeros = np.zeros_like(blocks)
    x = [blocks & MASK, blocks >> 32, zeros + (draw & MASK), zeros + (draw >> 32 & MASK)]
    keys = [seed & MASK, seed >> 32 & MASK]
    for _ in range(ROUNDS):
        p, q = x[0] * MULTIPLIERS[0], x[2] * MULTIPLIERS[1]
        x = [(q >> 32) ^ x[1] ^ keys[0], q & MASK, (p >> 32) ^ x[3] ^ keys[1], p & MASK]
        keys = [(k + step) & MASK for k, step in zip(keys, STEPS, strict=True)]
    out[...] = np.stack(x, -1).reshape(-1)[: out.size].astype(np.uint32)
