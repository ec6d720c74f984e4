# %% [markdown]
# # 17 · AlexNet
#
# The slides' opening problem: tell bicycles, motorcycles, cars, buses and trucks apart, whatever
# the light, the angle and the weather. Linear models on pixels cannot; the network that won
# ImageNet in 2012 (A. Krizhevsky, I. Sutskever, G. Hinton) learns its features. After this chapter
# you know what each of its parts is for, and where it still fails.
#
# The scenes are drawn by a renderer and are not photographs; what is learned here has never seen a
# street. The last cell takes a folder of your own photographs: `--photos FOLDER`.

# %%
import time

import numpy as np
from PIL import Image
from tinygrad_course_viz import draw_graph, lessons, watch
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc
from tinygrad_course import data, nn, optim
from tinygrad_course.data.datasets import Vehicles
from tinygrad_course.training import evaluate, fit

chapter = Chapter("17_alexnet", photos="photographs to be named by the trained network")
tc.manual_seed(0)

# %% [markdown]
# ## The scenes

# %%
count, held_out, epochs = (1_200, 300, 4) if chapter.quick else (20_000, 2_000, 12)
scenes, unseen = Vehicles(count, seed=0), Vehicles(held_out, seed=1)
classes = scenes.classes
shown = [scenes[i] for i in range(24)]
titles = [classes[label] for _, label in shown]
chapter.save(lessons.images([x for x, _ in shown], titles, columns=8), "scenes.png")

# %% [markdown]
# ## The network
#
# Five convolutions, the first two followed by *local response normalisation*, in which strong
# channels damp their neighbours, $b_c = a_c / (k + \frac{\alpha}{n} \sum_{c'} a_{c'}^2)^\beta$;
# overlapping pools; three full layers with *dropout*; *ReLU* throughout. `width=1` and images of
# 227 pixels make the network of the paper. Here a quarter of the width and 64 pixels will do.


# %%
def alexnet(classes, width=1.0, size=227, first=(11, 4, 0), hidden=4096):
    a, b, c = (int(width * n) for n in (96, 256, 384))
    kernel, stride, padding = first
    side = (size + 2 * padding - kernel) // stride + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1  # each pool
    return nn.Sequential(
        nn.Conv2d(3, a, kernel, stride, padding), nn.ReLU(),
        nn.LocalResponseNorm(5, k=2.0), nn.MaxPool2d(3, 2),
        nn.Conv2d(a, b, 5, padding=2), nn.ReLU(),
        nn.LocalResponseNorm(5, k=2.0), nn.MaxPool2d(3, 2),
        nn.Conv2d(b, c, 3, padding=1), nn.ReLU(),
        nn.Conv2d(c, c, 3, padding=1), nn.ReLU(),
        nn.Conv2d(c, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(b * side * side, hidden), nn.ReLU(),
        nn.Dropout(0.5), nn.Linear(hidden, hidden), nn.ReLU(),
        nn.Linear(hidden, classes),
    )  # fmt: skip


model = alexnet(len(classes), width=0.25, size=64, first=(7, 2, 3), hidden=512)
for layer in model:
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # chapter 08
        nn.init.zeros_(layer.bias)
print(model.summary(tc.zeros(1, 3, 64, 64)))
with watch(model) as calls:
    scores = model(tc.rand(2, 3, 64, 64))
chapter.save(draw_graph(scores, calls, depth=0), "graph.svg")

# %% [markdown]
# ## Features by hand: none
#
# Logistic regression on the pixels, and AlexNet, on the same scenes. Augmentation: every epoch sees
# each scene mirrored by chance and shifted by up to four pixels.

# %%
normalise = data.Normalize(0.4, 0.22)
augment = data.Compose([data.RandomHorizontalFlip(), data.RandomCrop(64, padding=4), normalise])
measured = data.DataLoader(data.Transformed(unseen, normalise), 200)


def learn(model, transform, rate, decay, epochs):
    loader = data.DataLoader(data.Transformed(scenes, transform), 64, shuffle=True, drop_last=True)
    optimizer = optim.AdamW(model.to(chapter.device).parameters(), lr=rate, weight_decay=decay)
    steps = epochs * len(loader)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.2)
    history = fit(
        model, nn.CrossEntropyLoss(), optimizer, loader, measured, epochs, batch_scheduler=schedule
    )
    result = evaluate(model, measured)
    model.cpu()
    return history, result


start = time.perf_counter()
linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, len(classes)))
_, baseline = learn(linear, normalise, 3e-4, 1e-2, min(epochs, 4))
history, result = learn(model, augment, 1.5e-3, 1e-2, epochs)
print(f"logistic regression {100 * baseline.accuracy:.1f} %, AlexNet {100 * result.accuracy:.1f} % "
      f"of unseen scenes; {time.perf_counter() - start:.0f} s")  # fmt: skip
accuracy = {"training": history.column("accuracy"), "unseen": history.column("val_accuracy")}
chapter.save(lessons.curves(accuracy, ylabel="accuracy"), "accuracy.png")

# %% [markdown]
# ## What it looks for, and what it gets wrong

# %%
chapter.save(lessons.filters(model[0].weight, title="first filters, in colour"), "filters.png")
sure = result.probabilities[np.arange(held_out), result.targets]
worst = np.argsort(sure)[:12]
examples = [
    (unseen[int(i)][0], f"{classes[result.targets[i]]} taken for\n{classes[result.predictions[i]]}",
     bool(result.targets[i] != result.predictions[i]))
    for i in worst
]  # fmt: skip
chapter.save(lessons.confusion(result.confusion, classes, examples=examples), "confusion.png")

# %% [markdown]
# ## Your own photographs
#
# Without a folder, a few scenes written as files stand in for them.

# %%
folder = chapter.given["photos"]
if folder is None:
    folder = chapter.out / "photos"
    folder.mkdir(exist_ok=True)
    for i in range(5):
        Image.fromarray(unseen.pixels(i).transpose(1, 2, 0)).save(folder / f"{classes[i]}.png")
model.eval()
for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg")):
    photo = normalise(data.read_image(path, size=64))
    with tc.no_grad():
        chances = nn.functional.softmax(model(photo.unsqueeze(0)), 1)[0].tolist()
    said = int(np.argmax(chances))
    print(f"{path.name}: {classes[said]} ({100 * chances[said]:.0f} % sure)")

# %%
if chapter.quick:  # too few scenes to tell vehicles apart: only that learning has begun
    assert history.column("loss")[-1] < history.column("loss")[0], history
else:
    assert result.accuracy >= 0.95, result.accuracy
    assert baseline.accuracy <= 0.70, baseline.accuracy
print(f"unseen vehicles: AlexNet {100 * result.accuracy:.1f} %, "
      f"logistic regression {100 * baseline.accuracy:.1f} %")  # fmt: skip
