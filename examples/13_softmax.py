# %% [markdown]
# # 13 · Softmax
#
# Many classes: the sigmoid becomes the softmax, $\hat y_i = e^{z_i} / \sum_j e^{z_j}$, and the
# cross-entropy $L = -\sum_i y_i \ln \hat y_i$. Together they have the simplest gradient of all,
# $\partial L / \partial z_i = \hat y_i - y_i$. After this chapter you have derived it, checked it,
# seen why it is computed through logarithms, and told ten digits apart with it.

# %%
import numpy as np
from sklearn.datasets import load_digits
from tinygrad_course_viz import lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc
from tinygrad_course import nn, optim

chapter = Chapter("13_softmax")
F = nn.functional
tc.manual_seed(0)

# %% [markdown]
# ## Scores to probabilities
#
# With two classes and scores $(z, 0)$ the softmax is the sigmoid: it generalises chapter 02.

# %%
z = tc.randn(5, 4, dtype=tc.float64)
by_formula = z.exp() / z.exp().sum(1, keepdim=True)
same = (F.softmax(z, 1) - by_formula).abs().max().item()
pair = tc.stack([z[:, 0], tc.zeros(5, dtype=tc.float64)], 1)
as_sigmoid = (F.softmax(pair, 1)[:, 0] - z[:, 0].sigmoid()).abs().max().item()
print(f"formula and library differ by {same:.0e}; two classes and the sigmoid by {as_sigmoid:.0e}")

# %% [markdown]
# ## The gradient
#
# $\partial \hat y_k / \partial z_i = \hat y_k (\delta_{ik} - \hat y_i)$: the matrix
# $\mathrm{diag}(\hat y) - \hat y \hat y^T$. Into $\partial L / \partial \hat y_k = -y_k / \hat y_k$
# it goes as
# $\sum_k -y_k (\delta_{ik} - \hat y_i) = \hat y_i \sum_k y_k - y_i = \hat y_i - y_i$.

# %%
scores = tc.randn(4, dtype=tc.float64, requires_grad=True)
rows = [tc.autograd.grad(F.softmax(scores, 0)[k], scores)[0] for k in range(4)]
probabilities = F.softmax(scores.detach(), 0)
matrix = np.diag(probabilities.numpy()) - np.outer(probabilities.numpy(), probabilities.numpy())
jacobian_gap = np.abs(tc.stack(rows).numpy() - matrix).max()

z = tc.randn(6, 10, dtype=tc.float64, requires_grad=True)
labels = tc.tensor([3, 1, 4, 1, 5, 9])
one_hot = tc.eye(10, dtype=tc.float64)[labels]
F.cross_entropy(z, labels, reduction="sum").backward()
gradient_gap = (z.grad - (F.softmax(z.detach(), 1) - one_hot)).abs().max().item()
print(f"Jacobian within {jacobian_gap:.0e}, gradient ŷ − y within {gradient_gap:.0e} of autograd's")

# %% [markdown]
# ## Through logarithms
#
# $e^{1000}$ is infinite, and infinity over infinity is no number. `log_softmax` takes the largest
# score off first; the cross-entropy is computed from it and never sees a probability.

# %%
large = tc.tensor([1000.0, 0.0, -1000.0])
naive = (large.exp() / large.exp().sum()).tolist()
stable = F.log_softmax(large, 0).tolist()
print(f"by formula {naive}; logarithms by the library {stable}")

# %% [markdown]
# ## Ten digits, one layer
#
# Multinomial logistic regression on 8 × 8 pixels, by the gradient that we derived, and by autograd.

# %%
pixels, names = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(pixels))
x, y = tc.tensor(pixels[order] / 16), tc.tensor(names[order])
seen, held_out = slice(0, 1347), slice(1347, None)
epochs = 300 if chapter.quick else 1500
model = nn.Linear(64, 10).double()
W, b = model.weight.detach().clone(), model.bias.detach().clone()
optimizer, costs = optim.SGD(model.parameters(), lr=1.0), []
targets = tc.eye(10, dtype=tc.float64)[y[seen]]
for _ in range(epochs):
    loss = F.cross_entropy(model(x[seen]), y[seen])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    costs.append(loss.item())
    error = (F.softmax(x[seen] @ W.T + b, 1) - targets) / len(targets)  # (ŷ − y) / m
    W, b = W - error.T @ x[seen], b - error.sum(0)
apart = (model.weight.detach() - W).abs().max().item()
with tc.no_grad():
    answers = model(x[held_out]).argmax(1).numpy()
truth = y[held_out].numpy()
accuracy = (answers == truth).mean()
print(f"after {epochs} steps both have the same weights to {apart:.0e}")

counts = np.zeros((10, 10), int)
np.add.at(counts, (truth, answers), 1)
wrong = np.flatnonzero(answers != truth)[:12]
examples = [
    (x[held_out][int(i)].reshape(8, 8), f"{truth[i]} read as {answers[i]}", True) for i in wrong
]
chapter.save(lessons.confusion(counts, range(10), examples=examples), "confusion.png")
chapter.save(lessons.curves({"cost": costs}, xlabel="step", ylabel="cost", log=True), "cost.png")
templates = W.reshape(10, 1, 8, 8)
chapter.save(lessons.filters(templates, title="what each digit's weights look for"), "weights.png")

# %%
assert same < 1e-12
assert as_sigmoid < 1e-12
assert max(jacobian_gap, gradient_gap) < 1e-12
assert not np.isfinite(naive).all()
assert np.isfinite(stable).all()
assert apart < 1e-8, apart
assert accuracy > 0.94, accuracy
print(f"ŷ − y within {gradient_gap:.0e}; one layer reads {100 * accuracy:.1f} % of held-out digits")
