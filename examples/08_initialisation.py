# %% [markdown]
# # 08 · Initialisation
#
# Fifty layers multiply: if each makes the numbers a little smaller or larger, they vanish or
# explode. With weights from $\mathcal N(0, \sigma^2)$ and $n$ inputs, a linear layer multiplies the
# variance by $n\sigma^2$. Xavier's $\sigma^2 = 1/n$ keeps it (the slides' form; Glorot and Bengio,
# 2010, take the mean of both sides, $2/(n_{in}+n_{out})$); He's $2/n$ makes up for the half that
# ReLU cuts off. After this chapter you can foresee what fifty layers do, before you train them.

# %%
import math

import numpy as np
from tinygrad_course_viz import lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc
from tinygrad_course import nn

chapter = Chapter("08_initialisation")
DEPTH, WIDTH, EXAMPLES = 50, 100 if chapter.quick else 256, 200

# %% [markdown]
# ## The variance through fifty layers

# %%
SPREADS = {  # the standard deviation of the weights, for n inputs
    "small, 0.01": lambda n: 0.01,
    "large, 1": lambda n: 1.0,
    "Xavier, √(1/n)": lambda n: math.sqrt(1 / n),
    "He, √(2/n)": lambda n: math.sqrt(2 / n),
}


def through(activation, spread, seed=0):
    """The spread of the activations after each layer, and of the gradients that come back."""
    tc.manual_seed(seed)
    a = tc.randn(EXAMPLES, WIDTH, dtype=tc.float64, requires_grad=True)
    layers = []
    for _ in range(DEPTH):
        a = activation(a @ (spread(WIDTH) * tc.randn(WIDTH, WIDTH, dtype=tc.float64)))
        layers.append(a)
    upstream = tc.randn(EXAMPLES, WIDTH, dtype=tc.float64)
    gradients = tc.autograd.grad((a * upstream).sum(), layers)
    return [v.detach() for v in layers], gradients


ACTIVATIONS = {"tanh": tc.tanh, "ReLU": tc.relu}
kept = {}
figure = lessons.new_figure(11, 4)
for axes, (name, activation) in zip(figure.subplots(1, 2), ACTIVATIONS.items(), strict=True):
    lines = {}
    for how, spread in SPREADS.items():
        values, gradients = through(activation, spread)
        sizes = [v.square().mean().sqrt().item() for v in values]
        back = [g.square().mean().sqrt().item() for g in gradients]
        kept[name, how] = (sizes[-1] / sizes[0], back[0] / back[-1])
        lines[how] = sizes
        print(f"{name}, {how}: activations × {kept[name, how][0]:.1e}, "
              f"gradients × {kept[name, how][1]:.1e}")  # fmt: skip
    lessons.draw_curves(axes, lines)
    axes.set(title=name, xlabel="layer", ylabel="size of the activations", yscale="log")
chapter.save(figure, "sizes.png")

# %% [markdown]
# ## What theory says
#
# For ReLU the size changes by $\sqrt{n\sigma^2/2}$ a layer: 1 for He, $1/\sqrt2$ for Xavier, and so
# $2^{-49/2}$ from the first layer to the fiftieth.

# %%
foreseen = 2 ** (-(DEPTH - 1) / 2)
many = [through(tc.relu, SPREADS["Xavier, √(1/n)"], seed)[0] for seed in range(4)]
shares = [(v[-1].square().mean() / v[0].square().mean()).sqrt().item() for v in many]
found = math.exp(np.mean(np.log(shares)))
print(f"ReLU with Xavier: × {found:.1e} through 49 layers, theory × {foreseen:.1e}")

# %% [markdown]
# ## Layer by layer

# %%
for how, spread in SPREADS.items():
    values, _ = through(tc.tanh, spread)
    some = {f"layer {k}": values[k - 1] for k in (1, 5, 20, 50)}
    figure = lessons.histograms(some, title=f"tanh, {how}", xlabel="activation")
    chapter.save(figure, f"tanh_{how.split(',')[0].lower()}.png")

# %% [markdown]
# ## From the library
#
# `nn.init` has them by name; `calculate_gain` is the factor of an activation.

# %%
w = tc.empty(400, 300, dtype=tc.float64)
library = {
    "He": (nn.init.kaiming_normal_(w, nonlinearity="relu").std().item(), math.sqrt(2 / 300)),
    "Xavier": (nn.init.xavier_normal_(w).std().item(), math.sqrt(2 / 700)),
}
for how, (ours, formula) in library.items():
    print(f"nn.init, {how}: spread {ours:.4f}, formula {formula:.4f}")

# %%
he, xavier = kept["ReLU", "He, √(2/n)"], kept["tanh", "Xavier, √(1/n)"]
assert 0.02 < he[0] < 50, he
assert 0.02 < he[1] < 50, he
assert xavier[0] > 0.05, xavier
assert kept["ReLU", "small, 0.01"][0] < 1e-20
assert kept["ReLU", "large, 1"][0] > 1e20
assert 0.1 < found / foreseen < 10, (found, foreseen)
assert all(abs(ours / formula - 1) < 0.02 for ours, formula in library.values()), library
small = kept["ReLU", "small, 0.01"]
print(f"through fifty ReLU layers: He × {he[0]:.2g}, small weights × {small[0]:.0e}")
