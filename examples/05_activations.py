# %% [markdown]
# # 05 · Activation functions
#
# Without an activation a stack of layers is one matrix. With one it can bend; which one decides how
# much of the gradient survives the way back. After this chapter you have seen gradients vanish and
# units die, in numbers, and know why ReLU and leaky ReLU are the usual choice for hidden layers.

# %%
import numpy as np
from tinygrad_course_viz import lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc
from tinygrad_course import nn

chapter = Chapter("05_activations")
tc.set_default_dtype(tc.float64)
F = nn.functional

# %% [markdown]
# ## Four functions and their slopes
#
# | | value | slope |
# |---|---|---|
# | sigmoid | $1/(1+e^{-z})$, in (0, 1) | $\sigma(z)(1-\sigma(z))$, at most 1/4 |
# | tanh | $(e^z-e^{-z})/(e^z+e^{-z})$, in (−1, 1) | $1-\tanh^2 z$, at most 1 |
# | ReLU | $\max(0, z)$ | 0 below 0, 1 above |
# | leaky ReLU | $\max(\alpha z, z)$ | $\alpha$ below 0, 1 above |
#
# The table's slopes against autograd's. At $z = 0$ ReLU has no slope; the engine says 0 there, as
# PyTorch does, and the slides say 1: any number between is a right answer, and it never matters.

# %%
SLOPE = 0.01
ACTIVATIONS = {
    "sigmoid": tc.sigmoid,
    "tanh": tc.tanh,
    "ReLU": tc.relu,
    "leaky ReLU": lambda z: F.leaky_relu(z, SLOPE),
}
FORMULAS = {
    "sigmoid": lambda z: z.sigmoid() * (1 - z.sigmoid()),
    "tanh": lambda z: 1 - z.tanh() ** 2,
    "ReLU": lambda z: tc.where(z > 0, 1.0, 0.0),
    "leaky ReLU": lambda z: tc.where(z > 0, 1.0, SLOPE),
}
z = tc.linspace(-6, 6, 240, requires_grad=True)
values, slopes, wrong = {}, {}, {}
for name, f in ACTIVATIONS.items():
    (slope,) = tc.autograd.grad(f(z).sum(), z)
    values[name], slopes[name] = f(z).tolist(), slope.tolist()
    wrong[name] = (slope - FORMULAS[name](z.detach())).abs().max().item()
print("largest difference between formula and autograd:", max(wrong.values()))
figure = lessons.new_figure(10, 3.8)
for axes, lines, title in zip(
    figure.subplots(1, 2), (values, slopes), ("value", "slope"), strict=True
):
    lessons.draw_curves(axes, lines, z.tolist())
    axes.set(title=title, xlabel="z", ylim=(-1.2, 2.2))
chapter.save(figure, "activations.png")

# %% [markdown]
# ## Vanishing gradients
#
# Twenty layers of 64 units, each layer's weights drawn so that the signals keep their size on the
# way forward ($\mathcal N(0, g^2/n)$ with the gain $g$ that suits the activation). How large is the
# gradient when it arrives at each layer?

# %%
DEPTH, WIDTH = 20, 64
GAINS = {"sigmoid": 1.0, "tanh": 1.0, "ReLU": 2**0.5, "leaky ReLU": 2**0.5}


def gradient_sizes(name, draws):
    """The root mean square of the gradient at each layer's input, over random networks."""
    total = np.zeros(DEPTH)
    for seed in range(draws):
        tc.manual_seed(seed)
        a, inputs = tc.randn(100, WIDTH, requires_grad=True), []
        for _ in range(DEPTH):
            inputs.append(a)
            a = ACTIVATIONS[name](a @ (tc.randn(WIDTH, WIDTH) * GAINS[name] / WIDTH**0.5))
        arriving = tc.autograd.grad((tc.randn(100, WIDTH) * a).sum(), inputs)
        total += [(g**2).mean().item() for g in arriving]
    return np.sqrt(total / draws)


draws = 3 if chapter.quick else 20
sizes = {name: gradient_sizes(name, draws) for name in ACTIVATIONS}
kept = {name: s[0] / s[-1] for name, s in sizes.items()}
for name, share in kept.items():
    print(f"{name}: {share:.2g} of the gradient at the last layer arrives at the first")
figure = lessons.curves(sizes, xlabel="layer", ylabel="size of the gradient", log=True)
chapter.save(figure, "vanishing.png")

# %% [markdown]
# ## Dead units
#
# A ReLU whose input is negative for every example gets no gradient and never comes back: it is
# dead. One step that is too large can kill many. Leaky ReLU lets a little through, so its units go
# on learning. The task: follow a sine with 50 units, after a push that drives all of them below
# zero for every x.


# %%
def after_a_push(name, steps):
    """How far the hidden weights move in training, and the cost at its end."""
    tc.manual_seed(0)
    x = tc.linspace(-3, 3, 100).reshape(100, 1)
    hidden, out = nn.Linear(1, 50), nn.Linear(50, 1)
    with tc.no_grad():
        hidden.bias -= 5.0  # the push
    start = hidden.weight.detach().clone()
    optimizer = tc.optim.Adam([*hidden.parameters(), *out.parameters()], lr=0.05)
    for _ in range(steps):
        cost = ((out(ACTIVATIONS[name](hidden(x))) - x.sin()) ** 2).mean()
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
    return (hidden.weight.detach() - start).abs().max().item(), cost.item()


steps = 300 if chapter.quick else 2000
ends = {name: after_a_push(name, steps) for name in ("ReLU", "leaky ReLU")}
for name, (moved, cost) in ends.items():
    print(f"{name}: hidden weights move by {moved:.3g}, the cost ends at {cost:.4f}")

# %%
assert max(wrong.values()) < 1e-12, wrong
assert kept["sigmoid"] < 1e-6 < 0.1 < kept["ReLU"] < 10, kept
assert ends["ReLU"][0] == 0 < ends["leaky ReLU"][0], ends
assert ends["leaky ReLU"][1] < 0.5 * ends["ReLU"][1], ends
print(
    f"of the gradient at layer 20, sigmoid leaves {kept['sigmoid']:.0e} at layer 1, "
    f"ReLU {kept['ReLU']:.2f}"
)
