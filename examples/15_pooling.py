# %% [markdown]
# # 15 · Pooling, and one convolution four ways
#
# Pooling keeps one number of each window: the largest, or the mean. After this chapter you know
# where the gradient goes on the way back, and what a compiled kernel buys over plain loops, timed
# with the compilation apart.

# %%
import time

import numba
import numpy as np
from numba import cuda
from tinygrad_course_viz import lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc
from tinygrad_course import nn

chapter = Chapter("15_pooling")
F = nn.functional

# %% [markdown]
# ## The slides' example

# %%
NUMBERS = [
    [3, 9, 7, 4, 7, 5],
    [0, 6, 7, 3, 1, 2],
    [2, 4, 5, 0, 3, 2],
    [3, 7, 5, 0, 2, 1],
    [1, 5, 0, 7, 3, 6],
    [8, 9, 2, 5, 1, 8],
]
x = tc.tensor(NUMBERS, dtype=tc.float64).reshape(1, 1, 6, 6).requires_grad_()
largest, mean = F.max_pool2d(x, 2), F.avg_pool2d(x, 2)
print("max:", largest[0, 0].tolist())
print("mean:", mean[0, 0].tolist())

# %% [markdown]
# ## Where gradients flow
#
# The maximum hands all of its gradient to the element that it chose, the mean a quarter to each.
# The second window holds the number 7 twice: the gradient goes to the first.

# %%
(to_max,) = tc.autograd.grad(largest.sum(), x)
(to_mean,) = tc.autograd.grad(mean.sum(), x)
grids = [v.detach()[0, 0] for v in (x, to_max, to_mean)]
names = ["numbers", "gradient of the maximum", "gradient of the mean"]
chapter.save(lessons.numbers(grids, names), "gradients.png")

# %% [markdown]
# ## The same convolution, four ways
#
# Plain loops in Python; NumPy, with the loops over the image turned into a sum of shifted copies;
# the same plain loops compiled by Numba, on a graphics card too where there is one; and the
# library's kernel, which also keeps its numbers in registers and may use every core.
#
# NumPy may beat the compiled loops: its sum of shifts ends in a matrix product, and that is a
# kernel too, tuned by hand.


# %%
def loops(x, w):
    """Seven loops: image, filter, row, column, channel, and the window's row and column."""
    (n, c, height, width), (m, _, kh, kw) = x.shape, w.shape
    out = np.zeros((n, m, height - kh + 1, width - kw + 1), x.dtype)
    for b in range(n):
        for k in range(m):
            for i in range(out.shape[2]):
                for j in range(out.shape[3]):
                    total = 0.0
                    for d in range(c):
                        for u in range(kh):
                            for v in range(kw):
                                total += x[b, d, i + u, j + v] * w[k, d, u, v]
                    out[b, k, i, j] = total
    return out


def shifted(x, w):
    """A sum over the window: every shift of the image times its weights."""
    kh, kw = w.shape[2:]
    rows, columns = x.shape[2] - kh + 1, x.shape[3] - kw + 1
    out = 0.0
    for u in range(kh):
        for v in range(kw):
            part = x[:, :, u : u + rows, v : v + columns]
            out = out + np.einsum("nchw,mc->nmhw", part, w[:, :, u, v], optimize=True)
    return out


def library(x, w):
    with tc.no_grad():
        return F.conv2d(tc.from_numpy(x), tc.from_numpy(w)).numpy()


def compiled():
    return numba.njit(fastmath=True)(loops)


def graphics_card():
    """The loops with a thread for every answer, copies to the card and back included."""

    @cuda.jit
    def one_answer(x, w, out):
        b, k, place = cuda.grid(3)
        if b < out.shape[0] and k < out.shape[1] and place < out.shape[2] * out.shape[3]:
            i, j = place // out.shape[3], place % out.shape[3]
            total = x[0, 0, 0, 0] * 0
            for d in range(w.shape[1]):
                for u in range(w.shape[2]):
                    for v in range(w.shape[3]):
                        total += x[b, d, i + u, j + v] * w[k, d, u, v]
            out[b, k, i, j] = total

    def run(x, w):
        (n, _, height, width), (m, _, kh, kw) = x.shape, w.shape
        out = np.zeros((n, m, height - kh + 1, width - kw + 1), x.dtype)
        blocks = (n, m, -(-out[0, 0].size // 64))
        one_answer[blocks, (1, 1, 64)](x, w, out)
        return out

    return run if cuda.is_available() else None


def timed(f, x, w, least=0.3):
    """The median time of a call, in seconds, over at least `least` seconds."""
    times = []
    while sum(times) < least or len(times) < 3:
        start = time.perf_counter()
        f(x, w)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


rng = np.random.default_rng(0)
images = rng.normal(size=(8, 6, 14, 14)).astype(np.float32)  # LeNet's second layer
filters = rng.normal(size=(16, 6, 5, 5)).astype(np.float32)
ways = {"Python loops": loops, "NumPy": shifted, "Numba": compiled(), "library": library}
if card := graphics_card():
    ways["numba.cuda"] = card
else:
    print("numba.cuda: no graphics card here")
small, seconds, first = images[:1], {}, {}
truth = shifted(images.astype(np.float64), filters.astype(np.float64))
errors = {}
for name, f in ways.items():
    given = small if name == "Python loops" else images  # an eighth of the work, and scaled up
    start = time.perf_counter()
    out = f(given, filters)
    first[name] = time.perf_counter() - start
    errors[name] = np.abs(out - truth[: len(given)]).max() / np.abs(truth).max()
    least = 0.1 if chapter.quick else 1.0
    seconds[name] = timed(f, given, filters, least) * len(images) / len(given)
    print(f"{name:>13}: {1e3 * seconds[name]:9.3f} ms a call; {first[name]:.2f} s for the first, "
          f"error {errors[name]:.0e}")  # fmt: skip
speed = {name: seconds["Python loops"] / s for name, s in seconds.items()}
figure = lessons.bars(speed, ylabel="times as fast as Python loops", title="one convolution")
figure.axes[0].set_yscale("log")
chapter.save(figure, "speed.png")

# %%
assert largest[0, 0].tolist() == [[9, 7, 7], [7, 5, 3], [9, 7, 8]]
assert mean[0, 0].tolist()[0] == [4.5, 5.25, 3.75]
assert to_max.sum().item() == to_mean.sum().item() == 9
assert to_max[0, 0, 0].tolist() == [0, 1, 1, 0, 1, 0]
assert np.allclose(to_mean.numpy(), 0.25)
assert max(errors.values()) < 1e-5, errors
assert speed["library"] > 100, speed
print(f"the library's kernel is {speed['library']:,.0f} times as fast as Python loops")
