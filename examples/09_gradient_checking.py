# %% [markdown]
# # 09 · Gradient checking
#
# A wrong gradient does not crash: the cost still falls, only slower and not as far. So a gradient
# is compared with what it means, the change of the cost when a parameter changes:
#
# $$\frac{\partial J}{\partial \theta_i} \approx
#   \frac{J(\theta + \epsilon e_i) - J(\theta - \epsilon e_i)}{2\epsilon}
#   \qquad
#   \text{error} = \frac{\lVert d\theta_{approx} - d\theta \rVert_2}
#                       {\lVert d\theta_{approx} \rVert_2 + \lVert d\theta \rVert_2}$$
#
# Below $10^{-7}$ is right. After this chapter you can check any gradient by hand, and know why the
# library's own check reports more: where, how wrong, and what kind of mistake it may be.

# %%
import numpy as np
from tinygrad_course_viz import lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc
from tinygrad_course import testing

chapter = Chapter("09_gradient_checking")
tc.set_default_dtype(tc.float64)
rng = np.random.default_rng(0)

# %% [markdown]
# ## A network, its gradient by hand, and a mistake
#
# Two layers as in chapter 04. The mistake is a common one: the bias's gradient is not averaged.


# %%
X, Y = rng.normal(size=(2, 50)), (rng.random((1, 50)) < 0.5).astype(float)
SHAPES = [(4, 2), (4, 1), (1, 4), (1, 1)]  # W1, b1, W2, b2


def unpack(theta):
    parts = np.split(theta, np.cumsum([np.prod(s) for s in SHAPES])[:-1])
    return [p.reshape(s) for p, s in zip(parts, SHAPES, strict=True)]


def forward(theta):
    W1, b1, W2, b2 = unpack(theta)
    A1 = np.tanh(W1 @ X + b1)
    return A1, 1 / (1 + np.exp(-(W2 @ A1 + b2)))


def cost(theta):
    _, A2 = forward(theta)
    return -np.mean(Y * np.log(A2) + (1 - Y) * np.log(1 - A2))


def by_hand(theta, mistake=False):
    _, _, W2, _ = unpack(theta)
    A1, A2 = forward(theta)
    m = X.shape[1]
    dZ2 = A2 - Y
    dZ1 = W2.T @ dZ2 * (1 - A1**2)
    db1 = dZ1.sum(1) if mistake else dZ1.sum(1) / m
    parts = [dZ1 @ X.T / m, db1, dZ2 @ A1.T / m, dZ2.sum(1) / m]
    return np.concatenate([p.ravel() for p in parts])


# %% [markdown]
# ## The procedure of the slides


# %%
def numerical(f, theta, epsilon=1e-6):
    """Central differences, one parameter at a time."""
    steps = epsilon * np.eye(len(theta))
    return np.array([(f(theta + s) - f(theta - s)) / (2 * epsilon) for s in steps])


def relative_error(a, b):
    return np.linalg.norm(a - b) / (np.linalg.norm(a) + np.linalg.norm(b))


theta = rng.normal(size=sum(int(np.prod(s)) for s in SHAPES))
approx = numerical(cost, theta)
right, wrong = (relative_error(approx, by_hand(theta, mistake)) for mistake in (False, True))
print(f"right gradient: error {right:.1e}; with the mistake: {wrong:.1e}; threshold 1e-7")

# %% [markdown]
# ## How large a step?
#
# A large $\epsilon$ cuts the curve too coarsely (the error grows as $\epsilon^2$); a small one
# subtracts nearly equal numbers, and rounding is left (as $1/\epsilon$). The best lies between.

# %%
epsilons = np.logspace(-12, 0, 25)
exact = by_hand(theta)
errors = [relative_error(numerical(cost, theta, e), exact) for e in epsilons]
best = epsilons[int(np.argmin(errors))]
figure = lessons.curves(
    {"error": errors}, x=epsilons, xlabel="ε", ylabel="relative error", log=True
)
figure.axes[0].set_xscale("log")
chapter.save(figure, "epsilon.png")
print(f"the best of these steps is {best:.0e}")

# %% [markdown]
# ## The same with the library
#
# `testing.gradcheck` takes any function of Tensors. A custom operation with a planted mistake, the
# sign of one gradient, comes back as a report that names it.


# %%
class WrongSoftsign(tc.autograd.Function):
    """x / (1 + |x|), and a gradient with the wrong sign."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x / (1 + x.abs())

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return -g / (1 + x.abs()) ** 2


x = tc.tensor(rng.normal(size=(2, 3)), requires_grad=True)
try:
    testing.gradcheck(WrongSoftsign.apply, (x,))
except AssertionError as error:
    report = str(error)
    print(report)
testing.gradcheck(lambda x: x / (1 + x.abs()), (x,))
print("written with the engine's own operations it passes")

# %% [markdown]
# ## What to leave out
#
# Dropout draws a new mask for every evaluation, so that the difference of two costs says nothing:
# check in `eval` mode. And at a kink the central difference is the mean of two slopes: ReLU at 0
# seems to have slope 1/2. The library looks at both sides, and accepts any value between them.

# %%
kink = numerical(lambda t: np.maximum(t, 0).sum(), np.zeros(1))[0]
three = tc.tensor([-1.0, 0.0, 2.0], requires_grad=True)
testing.gradcheck(tc.relu, (three,))
print(f"central difference of ReLU at 0: {kink:.2f}; the engine says 0, and the check agrees")

# %%
assert right < 1e-7 < 1e-3 < wrong, (right, wrong)
assert "sign" in report, report
assert 1e-7 < best < 1e-3, best
print(f"the slides' error: {right:.0e} for the right gradient, {wrong:.2f} for the wrong one")
