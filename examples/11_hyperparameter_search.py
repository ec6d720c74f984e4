# %% [markdown]
# # 11 · Hyperparameter search
#
# Learning rate, number of units, batch size, epochs, activation, initialisation: what is chosen
# before learning is not learned by gradients. So it is tried. After this chapter you know why
# random draws beat a grid, why rates are drawn on a logarithmic scale, how a search goes from
# coarse to fine, and how several processes share one.

# %%
import subprocess
import sys

import numpy as np
from sklearn.datasets import load_digits
from tinygrad_course_viz import lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc
from tinygrad_course import nn, optim
from tinygrad_course.tuning import Float, Int, tune

chapter = Chapter("11_hyperparameter_search")
pixels, names = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(pixels))
x, y = tc.tensor((pixels[order] / 16).astype(np.float32)), tc.tensor(names[order])
TRAIN, VALIDATION, TEST = slice(0, 800), slice(800, 1200), slice(1200, None)


def train(rate, units, epochs=8):
    """Minibatch descent on digits; the network."""
    tc.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, units), nn.Tanh(), nn.Linear(units, 10))
    optimizer, shuffle = optim.SGD(model.parameters(), lr=rate), np.random.default_rng(0)
    for _ in range(epochs):
        for batch in np.array_split(shuffle.permutation(800), 25):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def accuracy(model, part):
    with tc.no_grad():
        return (model(x[part]).argmax(1) == y[part]).double().mean().item()


def objective(trial):
    return accuracy(train(trial["rate"], trial["units"]), VALIDATION)


SPACE = {"rate": Float(1e-4, 10, log=True), "units": Int(4, 64)}
how = {"direction": "maximize", "progress": False}

# %% [markdown]
# ## Random against grid
#
# Of two hyperparameters often one matters. A grid of 16 tries 4 values of it, 16 random draws try
# 16 (J. Bergstra and Y. Bengio, 2012). On a surface with one narrow good range, over many seeds:


# %%
def narrow(trial):
    """Best at an unknown place, which matters; the other number hardly does."""
    return -((trial["a"] - 0.43) ** 2) - 0.01 * (trial["b"] - 0.5) ** 2


plane = {"a": Float(0, 1), "b": Float(0, 1)}
seeds = range(5 if chapter.quick else 40)
grid = tune(narrow, plane, method="grid", points=4, **how)
random = [tune(narrow, plane, 16, seed=s, **how) for s in seeds]
won = np.mean([r.best_value > grid.best_value for r in random])
tried = {"grid": [t.params for t in grid.trials], "random": [t.params for t in random[0].trials]}
figure = lessons.new_figure(8, 3.8)
for axes, (name, points) in zip(figure.subplots(1, 2), tried.items(), strict=True):
    axes.plot([p["a"] for p in points], [p["b"] for p in points], "o", color=lessons.COLOURS[0])
    axes.axvspan(0.38, 0.48, color="0.85")
    distinct = len({round(p["a"], 3) for p in points})
    axes.set(title=f"{name}: {distinct} values of a", xlabel="a (matters)", ylabel="b (does not)")
chapter.save(figure, "random_and_grid.png")
print(f"random search beats the grid for {100 * won:.0f} % of the seeds")

# %% [markdown]
# ## The scale
#
# Between 0.0001 and 10, nine of ten evenly drawn rates are above 1. The logarithm's scale gives
# each power of ten its fair share.

# %%
trials = 6 if chapter.quick else 16
scales = {}
for name, log in (("evenly", False), ("logarithmic", True)):
    space = {"rate": Float(1e-4, 10, log=log), "units": Int(32, 32)}
    found = [t.value for t in tune(objective, space, trials, seed=1, **how).trials]
    scales[name] = float(np.mean(found))
    print(f"{name}: {100 * scales[name]:.1f} % right on average, best {100 * max(found):.1f} %")

# %% [markdown]
# ## From coarse to fine
#
# A round over the whole range, then rounds over parts of it around the best so far.

# %%
search = tune(objective, SPACE, 3 * trials, method="coarse-to-fine", **how)
chapter.save(search.plot(), "search.png")
print(search)
thirds = np.array_split([t.value for t in search.trials], 3)
print("mean of each round:", [f"{100 * np.mean(part):.1f} %" for part in thirds])

# %% [markdown]
# ## Several processes
#
# Two copies of a script that name the same file share one study: each takes the next trial that
# nobody has, and a trial whose process dies is tried again.

# %%
SCRIPT = """
import sys
from tinygrad_course.tuning import Float, tune
found = tune(lambda trial: (trial["x"] - 2) ** 2, {"x": Float(0, 5)}, 20, storage=sys.argv[1],
             progress=False)
print(len(found.trials), found.best["x"])
"""
study = chapter.out / "study.log"
study.unlink(missing_ok=True)
command = [sys.executable, "-c", SCRIPT, str(study)]
workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
said = [worker.communicate()[0].split() for worker in workers]
print(f"two processes, one study of {said[0][0]} trials; both found x = {float(said[0][1]):.3f}")

# %% [markdown]
# ## What was found, on digits that nothing was chosen by

# %%
final = accuracy(train(**search.best, epochs=10 if chapter.quick else 40), TEST)

# %%
assert won > 0.5, won
assert scales["logarithmic"] > scales["evenly"] + 0.1, scales
assert np.mean(thirds[-1]) > np.mean(thirds[0]), thirds
assert said[0] == said[1] and said[0][0] == "20", said  # noqa: PT018
assert final > 0.93, final
print(f"best: rate {search.best['rate']:.3g}, {search.best['units']} units; "
      f"{100 * final:.1f} % of test digits")  # fmt: skip
