# %% [markdown]
# # 01 · One neuron
#
# A neuron multiplies each input by a weight, adds a bias, and passes the sum through an activation:
#
# $$o = f\Bigl(\sum_i w_i x_i + b\Bigr)$$
#
# Here one neuron learns AND and OR twice: by Rosenblatt's rule with a step for $f$, and by gradient
# descent with the sigmoid. Then it fails at XOR, and we see why no single neuron can do better.
# After this chapter you can read the picture of a computation graph: values flow down, gradients
# flow up, and each edge carries one local derivative.

# %%
import itertools

from tinygrad_course_viz import draw_graph, lessons
from tinygrad_course_viz.chapter import Chapter

from tinygrad_course import Scalar, dot

chapter = Chapter("01_neuron")
INPUTS = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]
TASKS = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}

# %% [markdown]
# ## The perceptron rule
#
# With a step for an activation the neuron answers 0 or 1. A wrong answer moves the weights towards
# the input, or away from it (F. Rosenblatt, 1958):
#
# $$w_i \leftarrow w_i + (y - o)\,x_i \qquad b \leftarrow b + (y - o)$$


# %%
def step(z):
    return 1 if z > 0 else 0


def perceptron(targets, passes=25):
    """Rosenblatt's rule, example by example, until a whole pass is right."""
    w, b = [0.0, 0.0], 0.0
    for _ in range(passes):
        mistakes = 0
        for x, y in zip(INPUTS, targets, strict=True):
            error = y - step(w[0] * x[0] + w[1] * x[1] + b)
            w = [wi + error * xi for wi, xi in zip(w, x, strict=True)]
            b += error
            mistakes += abs(error)
        if not mistakes:
            break
    return sum(
        step(w[0] * x[0] + w[1] * x[1] + b) == y for x, y in zip(INPUTS, targets, strict=True)
    )


for name, targets in TASKS.items():
    print(f"perceptron, {name}: {perceptron(targets)} of 4 right")

# %% [markdown]
# ## The sigmoid neuron
#
# The step has no slope to follow. The sigmoid $\sigma(z) = 1/(1+e^{-z})$ has one everywhere, so the
# weights can go down the gradient of a cost. The engine records what is computed with Scalars and
# differentiates it by the chain rule, from the cost back to each weight.


# %%
class Neuron:
    """Two weights and a bias: o = σ(w · x + b)."""

    def __init__(self):
        self.w, self.b = [Scalar(0.5), Scalar(-0.5)], Scalar(0.0)

    def __call__(self, x):
        return (dot(self.w, list(x)) + self.b).sigmoid()

    def parameters(self):
        return [*self.w, self.b]


def cost(neuron, targets):
    """The squared error, summed over the four inputs."""
    return sum((neuron(x) - y) ** 2 for x, y in zip(INPUTS, targets, strict=True))


def descend(neuron, targets, steps, rate=2.0):
    costs = []
    for _ in range(steps):
        for p in neuron.parameters():
            p.grad = 0.0
        error = cost(neuron, targets)
        error.backward()
        for p in neuron.parameters():
            p.data -= rate * p.grad
        costs.append(error.data)
    return costs


def right(neuron, targets):
    return sum((neuron(x).data > 0.5) == y for x, y in zip(INPUTS, targets, strict=True))


steps = 100 if chapter.quick else 400
learned, falling = {}, {}
for name, targets in TASKS.items():
    neuron = Neuron()
    falling[name] = descend(neuron, targets, steps)
    learned[name] = right(neuron, targets)
    print(f"sigmoid neuron, {name}: {learned[name]} of 4 right, cost {falling[name][-1]:.3f}")
chapter.save(
    lessons.curves(
        falling, xlabel="step", ylabel="cost", title="AND and OR are learned, XOR is not"
    ),
    "cost.png",
)

# %% [markdown]
# ## Its graph
#
# One input, one answer, one backward pass. Each box shows a value and its gradient; the number on
# an edge is the local derivative, and a gradient is the one below times the number on the edge.

# %%
neuron = Neuron()
w1, w2 = neuron.w
x1, x2 = Scalar(1.0), Scalar(1.0)
output = (w1 * x1 + w2 * x2 + neuron.b).sigmoid()
loss = (output - 1.0) ** 2
loss.backward(retain_graph=True)
names = {"w1": w1, "w2": w2, "b": neuron.b, "x1": x1, "x2": x2, "o": output, "cost": loss}
chapter.save(draw_graph(loss, names), "neuron.svg")

# %% [markdown]
# ## Why XOR is out of reach
#
# A neuron answers 1 on one side of the line $w_1 x_1 + w_2 x_2 + b = 0$. The ones of XOR lie on a
# diagonal: no line has both on one side and both zeros on the other. Of all lines on a fine grid
# the best gets three of four. Chapter 04 adds a second layer.

# %%
grid = [k / 4 for k in range(-8, 9)]
best = max(
    sum(step(a * x[0] + b * x[1] + c) == y for x, y in zip(INPUTS, TASKS["XOR"], strict=True))
    for a, b, c in itertools.product(grid, repeat=3)
)

# %%
assert learned["AND"] == learned["OR"] == 4, learned
assert perceptron(TASKS["AND"]) == perceptron(TASKS["OR"]) == 4
assert best == 3, best
assert learned["XOR"] <= 3, learned
print(f"one neuron: AND {learned['AND']}/4, OR {learned['OR']}/4, XOR at best {best}/4")
