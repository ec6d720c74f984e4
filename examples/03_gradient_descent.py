# %% [markdown]
# # 03 · Cost functions and gradient descent
#
# A cost says in one number how wrong a model is; gradient descent walks downhill on it. Here a line
# is fitted to points three ways, and we watch what the learning rate and the size of the batch do.
# After this chapter you can read a cost surface, pick a learning rate from the curvature, and say
# why a noisy gradient is still a good one.

# %%
import math

import numpy as np
from tinygrad_course_viz import lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc

chapter = Chapter("03_gradient_descent")
tc.set_default_dtype(tc.float64)
rng = np.random.default_rng(0)
m = 200
x = rng.uniform(-1, 3, m)
y = 1.5 * x - 0.5 + rng.normal(0, 0.4, m)
x_all, y_all = tc.tensor(x), tc.tensor(y)

# %% [markdown]
# ## Three costs
#
# * least squares: $\sum_i (y_i - \hat y_i)^2$
# * cross-entropy: $-\frac1m \sum_i y_i \ln \hat y_i + (1-y_i)\ln(1-\hat y_i)$, for probabilities
# * maximum likelihood: $-\sum_i \ln P(y_i \mid \theta)$, for any model that gives a probability
#
# The loss is of one example, the cost of all. The three are one idea: with normal noise of spread
# $s$ the negative log-likelihood is the least-squares cost over $2s^2$, plus a constant; with
# labels 0 and 1 it is $m$ times the cross-entropy.


# %%
def least_squares(w, b, x=x_all, y=y_all):
    return ((y - (w * x + b)) ** 2).sum()


def negative_log_likelihood(w, b, s=0.4):
    residual = y_all - (w * x_all + b)
    return (residual**2 / (2 * s**2) + math.log(s * math.sqrt(2 * math.pi))).sum()


def slopes(cost, w, b):
    w, b = tc.tensor(w, requires_grad=True), tc.tensor(b, requires_grad=True)
    return tc.stack(tc.autograd.grad(cost(w, b), (w, b)))


ratio = slopes(least_squares, 0.3, 0.2) / slopes(negative_log_likelihood, 0.3, 0.2)
print(f"gradients of least squares over those of the likelihood: {ratio.tolist()}, 2s² = 0.32")

# %% [markdown]
# ## The surface, and three learning rates
#
# Near its minimum every cost is a bowl. Along a direction of curvature $c$ a step multiplies the
# distance to the minimum by $1 - \alpha c$: too small an $\alpha$ crawls, and one above $2/c$ for
# the largest curvature jumps further away each time. Best is $2/(c_1 + c_2)$, which shrinks both
# directions alike. Autograd's second derivatives give the curvatures.


# %%
def mean_cost(w, b, x=x_all, y=y_all):
    return least_squares(w, b, x, y) / len(x)


def curvatures():
    """The eigenvalues of the matrix of second derivatives."""
    w, b = tc.tensor(0.0, requires_grad=True), tc.tensor(0.0, requires_grad=True)
    first = tc.autograd.grad(mean_cost(w, b), (w, b), create_graph=True)
    rows = [tc.stack(tc.autograd.grad(g, (w, b), retain_graph=True)) for g in first]
    return np.linalg.eigvalsh(tc.stack(rows).numpy())


def descend(rate, steps, batch=None, seed=0, start=(-1.0, 2.5)):
    """Gradient descent on all points, or on a random batch at every step; the path it takes."""
    order = np.random.default_rng(seed)
    w, b = (tc.tensor(v, requires_grad=True) for v in start)
    path = [start]
    for _ in range(steps):
        i = order.integers(0, m, batch) if batch else slice(None)
        gw, gb = tc.autograd.grad(mean_cost(w, b, x_all[i], y_all[i]), (w, b))
        with tc.no_grad():
            w -= rate * gw
            b -= rate * gb
        path.append((w.item(), b.item()))
    return np.array(path)


flat, steep = curvatures()
limit = 2 / steep
print(f"curvatures {flat:.2f} and {steep:.2f}: steps must stay below 2/{steep:.2f} = {limit:.3f}")
rates = {"small": 0.05 * limit, "good": 2 / (flat + steep), "too large": 1.02 * limit}
paths = {name: descend(rate, 40) for name, rate in rates.items()}


def heights(w, b):
    return ((y - (w[..., None] * x + b[..., None])) ** 2).mean(-1)


box = {"xlim": (-1.6, 4.2), "ylim": (-3.5, 3.2), "xlabel": "w", "ylabel": "b"}
named = {f"{name}, α = {rates[name]:.3f}": path for name, path in paths.items()}
chapter.save(lessons.surface(heights, named, **box, title="three learning rates"), "rates.png")
best = np.polyfit(x, y, 1)  # the exact minimum
ends = {name: np.linalg.norm(path[-1] - best) for name, path in paths.items()}
for name, far in ends.items():
    print(f"{name}: {far:.2g} from the minimum after 40 steps")

# %% [markdown]
# ## Batch, stochastic, mini-batch
#
# One example gives a gradient that points downhill only on average, but costs $m$ times less than
# all of them. A batch of $b$ examples has $1/\sqrt b$ of that noise.


# %%
def spread(batch, draws=400):
    """How far a random batch's gradient is from the whole one: the root of the mean square."""
    w, b = tc.tensor(0.0, requires_grad=True), tc.tensor(0.0, requires_grad=True)
    whole = tc.stack(tc.autograd.grad(mean_cost(w, b), (w, b))).numpy()
    found = []
    for _ in range(draws):
        i = rng.integers(0, m, batch)
        g = tc.autograd.grad(mean_cost(w, b, x_all[i], y_all[i]), (w, b))
        found.append(np.sum((tc.stack(g).numpy() - whole) ** 2))
    return math.sqrt(np.mean(found))


draws = 300 if chapter.quick else 3000
noise = {b: spread(b, draws) for b in (1, 4, 16, 64)}
print("noise by batch size:", {b: round(s, 3) for b, s in noise.items()})
kinds = {
    "all 200 (batch)": descend(0.15, 60),
    "16 (mini-batch)": descend(0.15, 60, batch=16),
    "1 (stochastic)": descend(0.15, 60, batch=1),
}
chapter.save(lessons.surface(heights, kinds, **box, title="examples in a step"), "batches.png")

# %%
assert np.allclose(ratio.numpy(), 2 * 0.4**2), ratio
assert ends["good"] < 1e-3 < ends["small"], ends
assert ends["too large"] > np.linalg.norm(np.array([-1, 2.5]) - best), ends
factor = noise[1] / noise[16]
assert 3.3 < factor < 4.8, factor
print(f"16 examples have 1/{factor:.2f} of the noise of one (theory: 1/4)")
