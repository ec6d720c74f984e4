# %% [markdown]
# # 10 · Optimisers
#
# Gradient descent follows the slope of one moment. Momentum remembers past slopes, AdaGrad and
# RMSprop give each parameter its own rate, Adam does both. Here each is written by its formula,
# compared with the library's step by step, and sent down the same valleys. After this chapter an
# optimiser is four lines that you can write from memory.

# %%
import math

import numpy as np
from tinygrad_course_viz import lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc
from tinygrad_course import optim

chapter = Chapter("10_optimisers")
tc.set_default_dtype(tc.float64)

# %% [markdown]
# ## By formula
#
# Each is a generator: send it a gradient, get the change of the parameters.


# %%
def momentum(alpha, beta=0.9):
    """v ← βv + (1−β)g, the exponentially weighted average; x ← x − αv."""
    v, g = 0.0, (yield)
    while True:
        v = beta * v + (1 - beta) * g
        g = yield -alpha * v


def adagrad(eta, epsilon=1e-8):
    """G ← G + g²; x ← x − η g / (√G + ε)."""
    G, g = 0.0, (yield)
    while True:
        G = G + g**2
        g = yield -eta * g / (np.sqrt(G) + epsilon)


def rmsprop(eta, beta=0.9, epsilon=1e-8):
    """E ← βE + (1−β)g²; x ← x − η g / (√E + ε)."""
    E, g = 0.0, (yield)
    while True:
        E = beta * E + (1 - beta) * g**2
        g = yield -eta * g / (np.sqrt(E) + epsilon)


def adam(alpha, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Both averages, each divided by 1 − βᵗ because it starts at 0."""
    v = s = t = 0.0
    g = yield
    while True:
        t += 1
        v, s = beta1 * v + (1 - beta1) * g, beta2 * s + (1 - beta2) * g**2
        g = yield -alpha * (v / (1 - beta1**t)) / (np.sqrt(s / (1 - beta2**t)) + epsilon)


BY_FORMULA = {
    "momentum": momentum(0.01),
    "AdaGrad": adagrad(0.5),
    "RMSprop": rmsprop(0.02),
    "Adam": adam(0.1),
}


LIBRARY = {
    "plain": lambda p: optim.SGD(p, lr=0.0005),
    "momentum": lambda p: optim.SGD(p, lr=0.01, momentum=0.9, average=True),
    "AdaGrad": lambda p: optim.Adagrad(p, lr=0.5, eps=1e-8),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.02, alpha=0.9),
    "Adam": lambda p: optim.Adam(p, lr=0.1),
}

# %% [markdown]
# ## A bent valley
#
# Rosenbrock's function falls steeply into a curved valley, and gently along it to (1, 1).


# %%
def rosenbrock(x, y):
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def walk(f, start, optimizer, steps):
    """The library's optimiser on a surface; the path it takes."""
    p = tc.tensor(start, requires_grad=True)
    optimizer, path = optimizer([p]), [start]
    for _ in range(steps):
        optimizer.zero_grad()
        f(p[0], p[1]).backward()
        optimizer.step()
        path.append(p.tolist())
    return np.array(path)


def walk_by_formula(f, start, rule, steps):
    x, path = np.array(start), [start]
    next(rule)
    for _ in range(steps):
        p = tc.tensor(x, requires_grad=True)
        (g,) = tc.autograd.grad(f(p[0], p[1]), p)
        x = x + rule.send(g.numpy())
        path.append(x)
    return np.array(path)


start, steps = (-1.5, 1.0), 100 if chapter.quick else 600
paths = {name: walk(rosenbrock, start, make, steps) for name, make in LIBRARY.items()}
apart = {}
for name, rule in BY_FORMULA.items():
    by_formula = walk_by_formula(rosenbrock, start, rule, 50)
    apart[name] = np.abs(paths[name][:51] - by_formula).max()
    print(f"{name}: formula and library differ by at most {apart[name]:.1e} in 50 steps")
box = {"xlim": (-2, 2), "ylim": (-1, 3), "xlabel": "x", "ylabel": "y"}
chapter.save(lessons.surface(rosenbrock, paths, **box, title="Rosenbrock"), "rosenbrock.png")

# %% [markdown]
# ## What momentum buys
#
# In a straight valley, $\kappa$ times steeper across than along, the best plain rate shrinks the
# distance by $\frac{\kappa-1}{\kappa+1}$ a step, momentum's best choice by
# $\frac{\sqrt\kappa-1}{\sqrt\kappa+1}$ (B. Polyak, 1964). With $\kappa = 50$: 0.96 and 0.75.

# %%
KAPPA = 50


def valley(x, y):
    return 0.5 * (x**2 + KAPPA * y**2)


root = math.sqrt(KAPPA)
beta = ((root - 1) / (root + 1)) ** 2
alpha = (2 / (root + 1)) ** 2 / (1 - beta)
straight = {
    "plain": lambda p: optim.SGD(p, lr=2 / (1 + KAPPA)),
    "momentum": lambda p: optim.SGD(p, lr=alpha, momentum=beta, average=True),
}
ways = {name: walk(valley, start, make, 400) for name, make in straight.items()}
needed = {name: int(np.argmax(np.hypot(*way.T) < 1e-3)) for name, way in ways.items()}
box = {"xlim": (-2, 0.5), "ylim": (-2.6, 2.6), "xlabel": "x", "ylabel": "y"}
shown = {name: way[: needed[name] + 1] for name, way in ways.items()}
chapter.save(lessons.surface(valley, shown, **box, title="a straight valley"), "valley.png")
print("steps to within 0.001 of the minimum:", needed)

# %% [markdown]
# ## Learning-rate decay
#
# Time-based, $\alpha = \alpha_0 / (1 + \text{rate} \cdot \text{epoch})$; and in stairs, with
# $\lfloor \text{epoch} / \text{interval} \rfloor$ in place of the epoch. A noisy gradient keeps a
# fixed rate shaking around the minimum; a falling rate lets it settle.


# %%
def decay(epoch, rate=0.1, interval=1):
    return 1 / (1 + rate * (epoch // interval))


def settled(rate, interval=None, epochs=200, seeds=20):
    """How far from the minimum of x² a noisy descent ends, and the rates that it used."""
    ends = []
    for seed in range(seeds):
        noise = np.random.default_rng(seed)
        x = tc.tensor(1.0, requires_grad=True)
        optimizer = optim.SGD([x], lr=0.4)
        schedule = optim.lr_scheduler.TimeBasedDecay(optimizer, rate, interval or 1)
        rates = []
        for _ in range(epochs):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.zero_grad()
            (x**2 + noise.normal() * x).backward()
            optimizer.step()
            schedule.step()
        ends.append(x.item() ** 2)
    return math.sqrt(np.mean(ends)), rates


shaking, fixed = settled(0.0)
calm, falling = settled(0.1)
stairs_calm, stairs = settled(0.5, interval=25)
wanted = [[0.4 * decay(e) for e in range(200)], [0.4 * decay(e, 0.5, 25) for e in range(200)]]
wrong = np.abs(np.array([falling, stairs]) - wanted).max()
rates = {"fixed": fixed, "time-based": falling, "in stairs": stairs}
chapter.save(lessons.curves(rates, ylabel="learning rate"), "decay.png")
print(f"left at the end: fixed {shaking:.3f}, time-based {calm:.3f}, in stairs {stairs_calm:.3f}")

# %%
assert max(apart.values()) < 1e-10, apart
assert wrong < 1e-12, wrong
assert needed["momentum"] < 0.4 * needed["plain"], needed
assert max(calm, stairs_calm) < 0.6 * shaking, (calm, stairs_calm, shaking)
print(f"formulas and library agree to {max(apart.values()):.0e}; steps in a valley: {needed}")
