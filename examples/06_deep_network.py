# %% [markdown]
# # 06 · A deep network
#
# $L$ layers, each a matrix, a bias and an activation:
# $[\text{LINEAR} \to g]^{L-1} \to \text{LINEAR} \to \text{SIGMOID}$. Back-propagation is the chain
# rule, layer by layer from the output. After this chapter you have written it by hand, seen it
# agree with autograd to the last digits, and trained both side by side.

# %%
import itertools

import numpy as np
from sklearn.datasets import load_digits
from tinygrad_course_viz import draw_graph, lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc

chapter = Chapter("06_deep_network")
tc.set_default_dtype(tc.float64)

# %% [markdown]
# ## The table of dimensions
#
# | layer | $W$ | $b$ | $Z = WA + b$ and $A$ |
# |---|---|---|---|
# | 1 | $(n_1, n_0)$ | $(n_1, 1)$ | $(n_1, m)$ |
# | l | $(n_l, n_{l-1})$ | $(n_l, 1)$ | $(n_l, m)$ |

# %%
SIZES = [64, 32, 16, 8, 1]  # n0 ... nL


def initial(sizes, seed=0):
    """W from N(0, 1 / n of the layer before), b = 0."""
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(0, n_in**-0.5, (n_out, n_in)), np.zeros((n_out, 1)))
        for n_in, n_out in itertools.pairwise(sizes)
    ]


def forward(layers, X, tanh=np.tanh, sigmoid=lambda z: 1 / (1 + np.exp(-z))):
    """A[0] = X, Z[l] = W A[l-1] + b, A[l] = g(Z[l]); tanh inside, sigmoid at the end."""
    A = [X]
    for W, b in layers[:-1]:
        A.append(tanh(W @ A[-1] + b))
    W, b = layers[-1]
    return [*A, sigmoid(W @ A[-1] + b)]


pixels, names = load_digits(return_X_y=True)  # 8 × 8 pixels a row
even = (names % 2 == 0).astype(float)
X, Y = pixels[:1200].T, even[None, :1200]  # (64, m), (1, m)
X_new, Y_new = pixels[1200:].T, even[None, 1200:]
mean, spread = X.mean(), X.std()
X, X_new = (X - mean) / spread, (X_new - mean) / spread

layers = initial(SIZES)
activations = forward(layers, X)
m = X.shape[1]
print("layer   W          b         A")
for k, ((W, b), A) in enumerate(zip(layers, activations[1:], strict=True), 1):
    assert W.shape == (SIZES[k], SIZES[k - 1])
    assert b.shape == (SIZES[k], 1)
    assert A.shape == (SIZES[k], m)
    print(f"{k:>5}   {W.shape!s:9}  {b.shape!s:8}  {A.shape}")

# %% [markdown]
# ## Back-propagation by hand
#
# At the output, cross-entropy and sigmoid together give $dZ^{[L]} = A^{[L]} - Y$. Then, backwards:
#
# $$dW^{[l]} = \tfrac1m dZ^{[l]} A^{[l-1]T} \qquad db^{[l]} = \tfrac1m \sum dZ^{[l]} \qquad
#   dZ^{[l-1]} = W^{[l]T} dZ^{[l]} \circ g'(Z^{[l-1]})$$
#
# For tanh, $g'(Z) = 1 - A^2$.


# %%
def backward(layers, A, Y):
    """The gradients (dW, db) of every layer."""
    gradients, m = [], Y.shape[1]
    dZ = A[-1] - Y
    for k in range(len(layers) - 1, -1, -1):
        W, _ = layers[k]
        gradients.append((dZ @ A[k].T / m, dZ.sum(1, keepdims=True) / m))
        dZ = W.T @ dZ * (1 - A[k] ** 2)
    return gradients[::-1]


by_hand = backward(layers, activations, Y)

# %% [markdown]
# ## The same by autograd
#
# The forward is the same function, given Tensors. Nothing is said about derivatives.


# %%
def cost(answer, Y):
    return -(Y * answer.log() + (1 - Y) * (1 - answer).log()).mean()


recorded = [tuple(tc.tensor(p, requires_grad=True) for p in layer) for layer in layers]
J = cost(forward(recorded, tc.tensor(X), tc.tanh, tc.sigmoid)[-1], tc.tensor(Y))
names = {
    f"{p}{k}": v for k, layer in enumerate(recorded, 1) for p, v in zip("Wb", layer, strict=True)
}
chapter.save(draw_graph(J, names), "graph.svg")
J.backward()
difference = max(
    np.abs(mine - p.grad.numpy()).max()
    for hand, layer in zip(by_hand, recorded, strict=True)
    for mine, p in zip(hand, layer, strict=True)
)
print(f"gradients by hand and by autograd differ by at most {difference:.1e}")

# %% [markdown]
# ## Learning
#
# Is this digit even? Gradient descent with the gradients that we wrote.


# %%
def right(layers, X, Y):
    return ((forward(layers, X)[-1] > 0.5) == Y).mean()


steps, rate, costs = 400 if chapter.quick else 3000, 0.5, []
for _ in range(steps):
    A = forward(layers, X)
    costs.append(float(cost(tc.tensor(A[-1]), tc.tensor(Y)).item()))
    layers = [
        (W - rate * dW, b - rate * db)
        for (W, b), (dW, db) in zip(layers, backward(layers, A, Y), strict=True)
    ]
chapter.save(lessons.curves({"cost": costs}, xlabel="step", ylabel="cost", log=True), "cost.png")
seen, fresh = right(layers, X, Y), right(layers, X_new, Y_new)
print(
    f"even or odd: {100 * seen:.1f} % of the digits learned from, {100 * fresh:.1f} % of new ones"
)

# %%
assert difference < 1e-10, difference
assert fresh > 0.9, fresh
print(f"hand and autograd agree to {difference:.0e}; {100 * fresh:.1f} % of new digits right")
