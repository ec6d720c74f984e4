# %% [markdown]
# # 02 · Logistic regression
#
# One neuron again, read as statistics: its output is the probability of a Bernoulli variable. Its
# cost follows from the likelihood, its gradient from the chain rule, gradient descent from both.
# After this chapter you can derive the gradient by hand, check it against autograd, and trust the
# result: on real data the coefficients agree with those of a statistics library.

# %%
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from tinygrad_course_viz import lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc

chapter = Chapter("02_logistic_regression")
tc.set_default_dtype(tc.float64)

# %% [markdown]
# ## Logit and sigmoid
#
# The logit maps a probability to any real number, $g(\mu) = \ln\frac{\mu}{1-\mu}$; the sigmoid
# $\sigma(z) = \frac{1}{1+e^{-z}}$ is its inverse. The model: $P(y=1) = \sigma(w^T x + b)$.


# %%
def logit(p):
    return tc.log(p / (1 - p))


p = tc.linspace(0.01, 0.99, 99)
there_and_back = (logit(p).sigmoid() - p).abs().max().item()
print(f"σ(logit(p)) differs from p by at most {there_and_back:.0e}")
z = tc.linspace(-6, 6, 121)
figure = lessons.curves({"σ(z)": z.sigmoid().tolist()}, x=z.tolist(), xlabel="z", ylabel="P(y = 1)")
chapter.save(figure, "sigmoid.png")

# %% [markdown]
# ## Likelihood and cross-entropy
#
# The likelihood of all labels is $L = \prod_i a_i^{y_i} (1-a_i)^{1-y_i}$. Its logarithm, with the
# sign changed and divided by the number of examples $m$, is the cross-entropy
#
# $$J = -\frac1m \sum_i y_i \ln a_i + (1-y_i) \ln(1-a_i)$$
#
# The data: 569 real tumours from Wisconsin, five measurements of each, benign or malignant.
# Each column of $X$ is one example, as in the slides.

# %%
tumours = load_breast_cancer()
COLUMNS = ["mean radius", "mean texture", "mean smoothness", "mean concavity", "mean symmetry"]
chosen = [list(tumours.feature_names).index(name) for name in COLUMNS]
table = tumours.data[:, chosen]
table = (table - table.mean(0)) / table.std(0)
X = tc.tensor(table.T.copy())  # (5, m)
y = tc.tensor(1.0 - tumours.target)  # (m,), 1 is malignant
m = y.numel()


def forward(w, b):
    """z = wᵀx + b, a = σ(z), for all examples at once."""
    return (w @ X + b).sigmoid()


def likelihood(a):
    return (a**y * (1 - a) ** (1 - y)).prod()


def cost(a):
    return -(y * a.log() + (1 - y) * (1 - a).log()).mean()


w, b = tc.zeros(len(COLUMNS), requires_grad=True), tc.zeros((), requires_grad=True)
a = forward(w, b)
gap = abs(-likelihood(a).log().item() / m - cost(a).item())
print(f"−ln L / m and the cross-entropy differ by {gap:.0e}")

# %% [markdown]
# ## The gradient, by hand and by autograd
#
# $\frac{\partial J_i}{\partial a_i} = \frac{a_i - y_i}{a_i(1-a_i)}$ and
# $\frac{\partial a_i}{\partial z_i} = a_i(1-a_i)$; the product is $a_i - y_i$, and so
#
# $$\frac{\partial J}{\partial w_j} = \frac1m \sum_i (a_i - y_i)\,x_{ij} \qquad
#   \frac{\partial J}{\partial b} = \frac1m \sum_i (a_i - y_i)$$


# %%
def by_hand(a):
    return X @ (a - y) / m, (a - y).mean()


start = np.random.default_rng(0).normal(size=len(COLUMNS) + 1)
w, b = tc.tensor(start[:-1], requires_grad=True), tc.tensor(start[-1], requires_grad=True)
a = forward(w, b)
cost(a).backward()
dw, db = by_hand(a.detach())
mistake = max((dw - w.grad).abs().max().item(), abs((db - b.grad).item()))
print(f"gradients by hand and by autograd differ by at most {mistake:.0e}")

# %% [markdown]
# ## Gradient descent, stopped by convergence
#
# $w \leftarrow w - \alpha \frac{\partial J}{\partial w}$, until the cost changes by less than a
# threshold. The threshold is strict here, because we want the coefficients and not only the class.

# %%
threshold = 1e-8 if chapter.quick else 1e-13
w, b = tc.zeros(len(COLUMNS), requires_grad=True), tc.zeros((), requires_grad=True)
costs = [float("inf")]
while True:
    J = cost(forward(w, b))
    J.backward()
    with tc.no_grad():
        w -= 2.0 * w.grad
        b -= 2.0 * b.grad
    w.grad = b.grad = None
    costs.append(J.item())
    if costs[-2] - costs[-1] < threshold:
        break
print(f"converged after {len(costs) - 1} steps at a cost of {costs[-1]:.6f}")
figure = lessons.curves({"J": costs[1:]}, xlabel="step", ylabel="cost", log=True, title="descent")
figure.axes[0].set_xscale("log")
chapter.save(figure, "cost.png")

# %% [markdown]
# ## Beside a statistics library

# %%
theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(table, y.numpy())
print(f"{'':>16}  {'ours':>8}  {'theirs':>8}")
for name, ours, other in zip(COLUMNS, w.tolist(), theirs.coef_[0], strict=True):
    print(f"{name:>16}  {ours:8.4f}  {other:8.4f}")
print(f"{'bias':>16}  {b.item():8.4f}  {theirs.intercept_[0]:8.4f}")
difference = max(
    np.abs(w.detach().numpy() - theirs.coef_[0]).max(), abs(b.item() - theirs.intercept_[0])
)
accuracy = ((forward(w, b) > 0.5) == (y > 0.5)).double().mean().item()

# %%
assert there_and_back < 1e-12
assert gap < 1e-10
assert mistake < 1e-12, mistake
assert difference < (0.2 if chapter.quick else 1e-3), difference
print(f"coefficients within {difference:.0e} of scikit-learn's; {100 * accuracy:.1f} % right")
