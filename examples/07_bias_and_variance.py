# %% [markdown]
# # 07 · Bias and variance
#
# A model that is too simple misses the pattern (bias, underfitting); one that is too free learns
# the noise as well (variance, overfitting). Here digits are learned from few examples, a fifth of
# them wrongly labelled, so that there is noise to learn. After this chapter you can read learning
# curves, and know what each remedy buys, because each is switched on in turn and measured.

# %%
import numpy as np
from sklearn.datasets import load_digits, load_wine
from tinygrad_course_viz import lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc
from tinygrad_course import nn, optim

chapter = Chapter("07_bias_and_variance")
F = nn.functional
SEEDS = range(2 if chapter.quick else 6)
EPOCHS = 90 if chapter.quick else 100

# %% [markdown]
# ## Three parts
#
# * training: learns the weights
# * validation: chooses between models and settings
# * test: used once, at the end, for a number that nothing was chosen by
#
# The test part must not be touched before the last cell.

# %%
images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
images, labels = (images[order] / 16).astype(np.float32), labels[order]
validation, test = slice(600, 1100), slice(1100, None)


def training_part(count, seed):
    """The first digits, a fifth of their labels replaced by random ones."""
    rng = np.random.default_rng(seed)
    y = labels[:count].copy()
    wrong = rng.random(count) < 0.2
    y[wrong] = rng.integers(0, 10, wrong.sum())
    return images[:count], y


def network(hidden, dropout=0.0):
    if hidden == 0:
        return nn.Linear(64, 10)
    return nn.Sequential(
        nn.Linear(64, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 10)
    )


def accuracy(model, x, y):
    model.eval()
    with tc.no_grad():
        answers = model(tc.tensor(x)).numpy().argmax(1)
    model.train()
    return (answers == y).mean()


def shifted(x, rng):
    """Augmentation: every digit moved by up to one pixel."""
    pictures = x.reshape(-1, 8, 8)
    moves = [tuple(rng.integers(-1, 2, 2)) for _ in pictures]
    moved = [np.roll(p, s, (0, 1)) for p, s in zip(pictures, moves, strict=True)]
    return np.stack(moved).reshape(-1, 64)


def learn(count=200, hidden=256, seed=0, l2=0.0, l1=0.0, dropout=0.0, augment=False):
    """Train, and return the model and the accuracies after every epoch.

    The penalties are the slides': λ/(2m) Σ W² and λ/m Σ |W|, for the weights and not the biases.
    """
    x, y = training_part(count, seed)
    rng = np.random.default_rng(seed)
    tc.manual_seed(seed)
    model = network(hidden, dropout)
    weights = [p for p in model.parameters() if p.ndim == 2]
    optimizer = optim.Adam(model.parameters(), lr=0.003)
    history = []
    for _ in range(EPOCHS):
        for batch in np.array_split(rng.permutation(count), max(count // 50, 1)):
            inputs = shifted(x[batch], rng) if augment else x[batch]
            loss = F.cross_entropy(model(tc.tensor(inputs)), tc.tensor(y[batch]))
            for w in weights:
                if l2:
                    loss = loss + l2 / (2 * count) * (w**2).sum()
                if l1:
                    loss = loss + l1 / count * w.abs().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seen = accuracy(model, x, y)
        history.append((seen, accuracy(model, images[validation], labels[validation])))
    return model, np.array(history)


def mean_end(**how):
    """Accuracy on training and validation digits after the last epoch, over several seeds."""
    return np.mean([learn(seed=s, **how)[1][-1] for s in SEEDS], 0)


# %% [markdown]
# ## Under- and overfitting
#
# The gap between training and validation is the variance; what is missing at the training digits
# that are labelled rightly is the bias.

# %%
sizes = {f"{h} hidden" if h else "no hidden layer": mean_end(hidden=h) for h in (0, 2, 16, 256)}
for name, (seen, unseen) in sizes.items():
    print(f"{name:>15}: training {100 * seen:5.1f} %, validation {100 * unseen:5.1f} %")
counts = (50, 100, 200, 400, 600)
learning = np.array([mean_end(count=n) for n in counts]).T
lines = dict(zip(("training", "validation"), learning, strict=True))
figure = lessons.curves(lines, x=counts, xlabel="training digits", ylabel="accuracy")
chapter.save(figure, "learning_curve.png")

# %% [markdown]
# ## The remedies, one at a time
#
# Early stopping keeps the weights of the epoch that was best on the validation part.

# %%
SETTINGS = {
    "L2": {"l2": 4.0},
    "L1": {"l1": 0.6},
    "dropout": {"dropout": 0.6},
    "augmentation": {"augment": True},
}
plain = [learn(seed=s) for s in SEEDS]
remedies = {
    "none": np.mean([h[-1, 1] for _, h in plain]),
    "early stopping": np.mean([h[:, 1].max() for _, h in plain]),
    **{name: mean_end(**how)[1] for name, how in SETTINGS.items()},
    "3 × the data": mean_end(count=600)[1],
}
heights = {name: 100 * found for name, found in remedies.items()}
chapter.save(lessons.bars(heights, ylabel="% right on validation digits"), "remedies.png")
for name, found in remedies.items():
    print(f"{name:>15}: validation {100 * found:.1f} %")


def zeros(model):
    """The share of weights that are nearly zero, and the mean square of all."""
    w = np.concatenate([p.detach().numpy().ravel() for p in model.parameters() if p.ndim == 2])
    return (abs(w) < 1e-3).mean(), (w**2).mean()


sparse = {name: zeros(learn(**SETTINGS[name])[0]) for name in ("L2", "L1")}
sparse["none"] = zeros(plain[0][0])
for name, (share, size) in sparse.items():
    print(f"{name:>15}: {100 * share:.0f} % of the weights below 0.001, mean square {size:.4f}")

# %% [markdown]
# ## Feature scaling
#
# Wine has thirteen columns, from tenths to thousands. Unscaled, one learning rate cannot suit all.
# The mean and spread are those of the training part only: the test must stay unseen.

# %%
wine, kind = load_wine(return_X_y=True)
chosen = np.random.default_rng(0).permutation(len(wine))
learned_from, held_out = chosen[:120], chosen[120:]
mean, spread = wine[learned_from].mean(0), wine[learned_from].std(0)
scaled = {}
for name, table in {"raw": wine, "scaled": (wine - mean) / spread}.items():
    tc.manual_seed(0)
    x, model = table.astype(np.float32), nn.Linear(13, 3)
    rate = 1e-6 if name == "raw" else 0.3  # ten times more, and the raw one diverges
    optimizer = optim.SGD(model.parameters(), lr=rate)
    for _ in range(200):
        loss = F.cross_entropy(model(tc.tensor(x[learned_from])), tc.tensor(kind[learned_from]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scaled[name] = accuracy(model, x[held_out], kind[held_out])
print(f"wine, 200 steps: raw {100 * scaled['raw']:.0f} %, scaled {100 * scaled['scaled']:.0f} %")

# %% [markdown]
# ## The test part, once

# %%
best = max(SETTINGS, key=remedies.get)  # chosen by the validation part
before = accuracy(plain[0][0], images[test], labels[test])
after = accuracy(learn(**SETTINGS[best])[0], images[test], labels[test])

# %%
assert sizes["2 hidden"][0] < sizes["256 hidden"][0] - 0.2, sizes
assert sizes["256 hidden"][0] > 0.98, sizes
for name in ("early stopping", "L2", "L1", "dropout", "augmentation", "3 × the data"):
    assert remedies[name] > remedies["none"], (name, remedies)
assert sparse["L1"][0] > 5 * sparse["none"][0]
assert sparse["L2"][1] < 0.5 * sparse["none"][1]
assert scaled["scaled"] > scaled["raw"] + 0.15, scaled
assert after > before + 0.03, (before, after)
print(f"test digits: {100 * before:.1f} % without a remedy, {100 * after:.1f} % with {best}")
