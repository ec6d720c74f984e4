# %% [markdown]
# # 14 · Convolution, by eye
#
# A filter is a small window of weights that slides over an image; at every place it answers with
# the sum of its products. The same weights look everywhere (parameter sharing), each answer sees
# only its neighbourhood (sparse connectivity). After this chapter you have seen edges appear, can
# tell the output's size from the formula, and have let back-propagation find a filter by itself.

# %%
import itertools

import numpy as np
from sklearn.datasets import load_sample_image
from tinygrad_course_viz import lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc
from tinygrad_course import nn, optim

chapter = Chapter("14_convolution")
F = nn.functional

# %% [markdown]
# ## Why not a matrix?
#
# A fully connected layer from a photograph to ten units has a weight for every pixel and unit; ten
# filters have 27 each.

# %%
photo = load_sample_image("china.jpg") / np.float32(255)  # (427, 640, 3), a temple
dense, shared = photo.size * 10 + 10, 10 * (3 * 3 * 3) + 10
print(f"ten units: {dense:,} parameters fully connected, {shared} as 3 × 3 filters")

# %% [markdown]
# ## Two edge filters
#
# Bright on the left and dark on the right gives a large answer of the first, bright above dark of
# the second. (As in every deep-learning library the window is not flipped: this is what
# mathematics calls cross-correlation.)

# %%
VERTICAL = [[1.0, 0.0, -1.0]] * 3
HORIZONTAL = [[1.0] * 3, [0.0] * 3, [-1.0] * 3]
grey = tc.tensor(photo.mean(2)).reshape(1, 1, 427, 640)
windows = tc.tensor([VERTICAL, HORIZONTAL]).reshape(2, 1, 3, 3)
edges = F.conv2d(grey, windows)
pictures = [photo, edges[0, 0].numpy(), edges[0, 1].numpy()]
figure = lessons.new_figure(12, 3.2)
names = ("photograph", "vertical edges", "horizontal edges")
for axes, picture, name in zip(figure.subplots(1, 3), pictures, names, strict=True):
    axes.imshow(picture, cmap="gray")
    axes.set(title=name, xticks=[], yticks=[])
chapter.save(figure, "edges.png")

step = np.zeros((6, 6))
step[:, :3] = 10.0  # bright on the left, dark on the right
chapter.save(lessons.sliding(step, VERTICAL, step=6, title="an edge is found"), "sliding.png")
strided = lessons.sliding(step, VERTICAL, stride=2, padding=1, step=4, title="padding 1, stride 2")
chapter.save(strided, "sliding_strided.png")
answer = F.conv2d(tc.tensor(step).reshape(1, 1, 6, 6), windows[:1].double())[0, 0].tolist()
print("the edge of a step from 10 to 0:", answer[0])

# %% [markdown]
# ## The size of the output
#
# $\lfloor (n + 2p - f) / s \rfloor + 1$ for input $n$, padding $p$, window $f$ and stride $s$.

# %%
checked = 0
for n, f, p, s in itertools.product(range(1, 13), range(1, 6), range(4), range(1, 5)):
    if f <= n + 2 * p:
        out = F.conv2d(tc.zeros(1, 1, n, n), tc.zeros(1, 1, f, f), padding=p, stride=s)
        assert out.shape[-1] == (n + 2 * p - f) // s + 1, (n, f, p, s)
        checked += 1
print(f"the formula holds for all {checked} combinations of size, window, padding and stride")

# %% [markdown]
# ## Volumes
#
# A filter spans all channels of its input, and each filter makes one channel of the output:
# 6 × 6 × 3 with ten filters of 3 × 3 × 3 gives 4 × 4 × 10.

# %%
layer = nn.Conv2d(3, 10, kernel_size=3)
volume = layer(tc.randn(1, 3, 6, 6))
count = sum(p.numel() for p in layer.parameters())
print(f"volume {tuple(volume.shape[1:])}, channels first; {count} parameters: 10 · 3·3·3 + 10")

# %% [markdown]
# ## A filter learned by back-propagation
#
# Show the layer the photograph and the edges that it should have found, and let it descend. It has
# never seen the numbers of the filter.

# %%
tc.manual_seed(0)
bright, target = grey - grey.mean(), edges[:, :1]
learner = nn.Conv2d(1, 1, 3, bias=False)
optimizer = optim.Adam(learner.parameters(), lr=0.05)
rows, steps = slice(0, 200), 300 if chapter.quick else 1000
schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
costs, seen = [], {0: learner.weight.detach().clone()}
for k in range(1, steps + 1):
    loss = F.mse_loss(learner(bright[:, :, rows]), target[:, :, slice(0, 198)])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    costs.append(loss.item())
    if k in (10, 50, steps // 4, steps):
        seen[k] = learner.weight.detach().clone()
wrong = (learner.weight.detach()[0, 0] - tc.tensor(VERTICAL)).abs().max().item()
shown = [w[0, 0] for w in seen.values()]
titles = [f"step {k}" for k in seen]
chapter.save(lessons.images(shown, titles, cmap="RdBu_r", centred=True), "learned.png")
chapter.save(lessons.curves({"cost": costs}, xlabel="step", ylabel="cost", log=True), "cost.png")
print(np.round(learner.weight.detach().numpy()[0, 0], 3))

# %%
assert answer[0] == [0.0, 30.0, 30.0, 0.0], answer
assert tuple(volume.shape) == (1, 10, 4, 4)
assert count == shared
assert wrong < 0.02, wrong
print(f"the learned filter is the vertical edge filter to {wrong:.0e}")
