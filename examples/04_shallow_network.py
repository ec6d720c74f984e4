# %% [markdown]
# # 04 · A shallow network
#
# A layer of neurons, and one neuron that listens to them: two layers bend the boundary that one
# neuron can only draw straight. Everything is vectorised, every column of $X$ is an example:
#
# $$Z^{[1]} = W^{[1]}X + b^{[1]} \quad A^{[1]} = \tanh Z^{[1]} \qquad
#   Z^{[2]} = W^{[2]}A^{[1]} + b^{[2]} \quad \hat Y = \sigma(Z^{[2]})$$
#
# After this chapter you know why the weights must start random, and why small.

# %%
from sklearn.datasets import make_moons
from tinygrad_course_viz import lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc

chapter = Chapter("04_shallow_network")
tc.set_default_dtype(tc.float64)  # float32's sigmoid reaches 1 sooner, and ln(1 − 1) is not finite
points, labels = make_moons(400, noise=0.18, random_state=0)
fresh, fresh_labels = make_moons(1000, noise=0.18, random_state=1)  # never trained on


def columns(points):
    """(m, 2) with an example a row, to (2, m) with an example a column."""
    return tc.tensor(points.T.astype(float))


X, Y = columns(points), tc.tensor(labels[None].astype(float))  # (2, m), (1, m)

# %% [markdown]
# ## The network as the slides write it


# %%
class Shallow:
    """W1 (h, 2), b1 (h, 1), W2 (1, h), b2 (1, 1)."""

    def __init__(self, hidden, scale, seed=0):
        tc.manual_seed(seed)
        self.W1, self.b1 = scale * tc.randn(hidden, 2), tc.zeros(hidden, 1)
        self.W2, self.b2 = scale * tc.randn(1, hidden), tc.zeros(1, 1)
        for p in self.parameters():
            p.requires_grad_()

    def parameters(self):
        return [self.W1, self.b1, self.W2, self.b2]

    def __call__(self, X):
        hidden = (self.W1 @ X + self.b1).tanh()  # (h, m)
        return (self.W2 @ hidden + self.b2).sigmoid()  # (1, m)


def cost(Y_hat, Y):
    """The cross-entropy of chapter 02."""
    return -(Y * Y_hat.log() + (1 - Y) * (1 - Y_hat).log()).mean()


def learn(network, steps, rate=1.5):
    costs = []
    for _ in range(steps):
        J = cost(network(X), Y)
        gradients = tc.autograd.grad(J, network.parameters())
        with tc.no_grad():
            for p, g in zip(network.parameters(), gradients, strict=True):
                p -= rate * g
        costs.append(J.item())
    return costs


def accuracy(network, points, labels):
    with tc.no_grad():
        answers = network(columns(points)).numpy()[0] > 0.5
    return (answers == labels).mean()


# %% [markdown]
# ## One neuron and eight on the moons
#
# The weights start at $0.01 \cdot \mathcal N(0, 1)$, the biases at 0.

# %%
steps = 3000 if chapter.quick else 8000
networks = {h: Shallow(h, 0.01) for h in (1, 8)}
falling = {f"{h} hidden": learn(network, steps) for h, network in networks.items()}
figure = lessons.new_figure(9.6, 4.2)
for axes, (h, network) in zip(figure.subplots(1, 2), networks.items(), strict=True):
    found = accuracy(network, fresh, fresh_labels)
    print(f"{h} hidden: cost {falling[f'{h} hidden'][-1]:.3f}, {100 * found:.1f} % of fresh points")
    text = f"{h} hidden: {100 * found:.1f} % of fresh points"

    def says(p, network=network):
        return network(columns(p))[0]

    lessons.boundary(says, points, labels, title=text, axes=axes)
chapter.save(figure, "boundary.png")
chapter.save(lessons.curves(falling, xlabel="step", ylabel="cost", log=True), "cost.png")

# %% [markdown]
# ## Zero weights, and large ones
#
# With zeros all hidden neurons compute the same, get the same gradient, and stay the same: eight
# neurons are one. Large weights drive tanh to where it is flat: nearly no slope comes through.

# %%
zero = Shallow(8, 0.0)
learn(zero, 300)
rows = zero.W1.detach().numpy()
apart = abs(rows - rows[0]).max()
print(
    f"after zeros the rows of W1 differ by {apart:g}, accuracy {accuracy(zero, points, labels):.2f}"
)

slope = {}
for scale in (0.01, 1.0, 30.0):
    network = Shallow(8, scale)
    hidden = (network.W1 @ X + network.b1).tanh().detach()
    slope[scale] = (1 - hidden**2).mean().item()
    print(f"weights of {scale} · N(0, 1): the mean slope of tanh is {slope[scale]:.3f}")

# %%
one, eight = (accuracy(n, fresh, fresh_labels) for n in networks.values())
assert apart == 0, apart
assert slope[30.0] < 0.1 < 0.9 < slope[0.01], slope
assert one < 0.92 < 0.955 < eight, (one, eight)
print(f"fresh moons: one hidden neuron {100 * one:.1f} %, eight {100 * eight:.1f} %")
