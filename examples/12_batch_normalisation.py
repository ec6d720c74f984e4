# %% [markdown]
# # 12 · Batch normalisation
#
# Every unit's sums are brought to mean 0 and spread 1 over the batch, then given a scale and a
# shift of their own (S. Ioffe and C. Szegedy, 2015):
#
# $$\mu_B = \frac1m \sum z_i \quad \sigma_B^2 = \frac1m \sum (z_i - \mu_B)^2 \quad
#   \hat z_i = \frac{z_i - \mu_B}{\sqrt{\sigma_B^2 + \epsilon}} \quad
#   \tilde z_i = \gamma \hat z_i + \beta$$
#
# After this chapter you know why a layer behaves differently in training and in inference, and
# have seen the learning rates that it makes possible.

# %%
import numpy as np
from sklearn.datasets import load_digits
from tinygrad_course_viz import lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc
from tinygrad_course import nn, optim

chapter = Chapter("12_batch_normalisation")
F = nn.functional

# %% [markdown]
# ## The formula, and the layer


# %%
def normalised(z, gamma, beta, epsilon=1e-5):
    """The four formulas; autograd differentiates through the mean and the spread as well."""
    mean = z.mean(0)
    variance = ((z - mean) ** 2).mean(0)
    return gamma * (z - mean) / (variance + epsilon).sqrt() + beta


tc.manual_seed(0)
layer = nn.BatchNorm1d(3).double()
with tc.no_grad():
    layer.weight.copy_(tc.tensor([1.0, 2.0, 0.5]))
    layer.bias.copy_(tc.tensor([0.0, -1.0, 3.0]))
z = (5 + 4 * tc.randn(64, 3, dtype=tc.float64)).requires_grad_()
upstream = tc.randn(64, 3, dtype=tc.float64)
found = []
for out in (layer(z), normalised(z, layer.weight, layer.bias)):
    gradients = tc.autograd.grad((out * upstream).sum(), [z, layer.weight, layer.bias])
    found.append(np.concatenate([v.detach().numpy().ravel() for v in (out, *gradients)]))
gap = np.abs(found[0] - found[1]).max()
print(f"layer and formula, values and gradients, differ by at most {gap:.0e}")

# %% [markdown]
# ## Training and inference
#
# In training the statistics are the batch's; the layer keeps a running average of them, and uses
# it in inference, so that an answer does not depend on who else is in the batch.

# %%
layer = nn.BatchNorm1d(3)
for _ in range(100):
    layer(5 + 4 * tc.randn(64, 3))
layer.eval()
example = 5 + 4 * tc.randn(1, 3)
alone = layer(example)
in_company = layer(tc.cat([example, 100 * tc.randn(9, 3)]))[:1]
same = (alone - in_company).abs().max().item()
means, spreads = layer.running_mean.tolist(), layer.running_var.sqrt().tolist()
print("running means", [round(v, 2) for v in means], "spreads", [round(v, 2) for v in spreads])
print(f"in inference an answer alone and in company differs by {same:g}")

# %% [markdown]
# ## High learning rates
#
# Six hidden layers read digits, with and without batch normalisation, over learning rates from
# small to absurd. The accuracy is that on held-out digits after a few epochs, a mean of seeds.

# %%
pixels, names = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(pixels))
x, y = (pixels[order] / 16).astype(np.float32), names[order]
seeds, epochs = range(1 if chapter.quick else 3), 8


def network(norm):
    layers = []
    for _ in range(6):
        linear = nn.Linear(64, 64)
        nn.init.kaiming_normal_(linear.weight)  # chapter 08: so that depth alone does no harm
        layers += [linear, *([nn.BatchNorm1d(64)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 10))


def accuracy(norm, rate, seed):
    tc.manual_seed(seed)
    model, shuffle = network(norm), np.random.default_rng(seed)
    optimizer = optim.SGD(model.parameters(), lr=rate)
    for _ in range(epochs):
        for batch in np.array_split(shuffle.permutation(1347), 21):
            loss = F.cross_entropy(model(tc.tensor(x[batch])), tc.tensor(y[batch]))
            if not np.isfinite(loss.item()):
                return 0.1  # diverged: no better than guessing
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    with tc.no_grad():
        answers = model(tc.tensor(x[1347:])).numpy().argmax(1)
    return (answers == y[1347:]).mean()


rates = [0.01, 0.1, 1.0, 4.0]
results = {
    name: [float(np.mean([accuracy(norm, r, s) for s in seeds])) for r in rates]
    for name, norm in (("without", False), ("with batch norm", True))
}
for name, row in results.items():
    found = "  ".join(f"rate {r:g} {100 * v:.0f} %" for r, v in zip(rates, row, strict=True))
    print(f"{name:>15}: {found}")
figure = lessons.curves(results, x=rates, xlabel="learning rate", ylabel="held-out accuracy")
figure.axes[0].set_xscale("log")
chapter.save(figure, "rates.png")

# %%
assert gap < 1e-10, gap
assert same < 1e-5, same
assert max(abs(v - 5) for v in means) < 1, means
plain, normed = np.array(results["without"]), np.array(results["with batch norm"])
assert min(plain[1], normed[1], normed[2]) > 0.85, results
assert normed[2] > plain[2] + 0.3, results
print(f"at a learning rate of 1: {100 * plain[2]:.0f} % without, {100 * normed[2]:.0f} % with it")
