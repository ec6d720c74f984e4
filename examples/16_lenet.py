# %% [markdown]
# # 16 · LeNet-5
#
# Convolution, pooling, convolution, pooling, and three layers that look at everything: the network
# that read cheques (Y. LeCun et al., 1998). After this chapter you can follow an image through it,
# say where its parameters and its work are, and read its graph.

# %%
import numpy as np
from tinygrad_course_viz import draw_backward, draw_graph, lessons
from tinygrad_course_viz.chapter import Chapter

import tinygrad_course as tc
from tinygrad_course import data, nn, optim
from tinygrad_course.training import evaluate, fit

chapter = Chapter("16_lenet")
tc.manual_seed(0)

# %% [markdown]
# ## Layer by layer
#
# An image of 28 × 28 pixels; `padding=2` makes it the 32 × 32 of the paper.

# %%
model = nn.Sequential(
    nn.Conv2d(1, 6, 5, padding=2),  # (6, 28, 28)
    nn.Tanh(),
    nn.AvgPool2d(2),  # (6, 14, 14)
    nn.Conv2d(6, 16, 5),  # (16, 10, 10)
    nn.Tanh(),
    nn.AvgPool2d(2),  # (16, 5, 5)
    nn.Flatten(),  # 400
    nn.Linear(400, 120),
    nn.Tanh(),
    nn.Linear(120, 84),
    nn.Tanh(),
    nn.Linear(84, 10),  # a score for each digit
)
print(model.summary(tc.zeros(1, 1, 28, 28)))
counts = {name: p.numel() for name, p in model.named_parameters()}
convolutions = sum(n for name, n in counts.items() if name[0] in "03")
total = sum(counts.values())
print(f"{total:,} parameters, {100 * convolutions / total:.0f} % of them in the convolutions")

# %% [markdown]
# ## Its graph
#
# What the engine recorded for the loss of four digits: operations from top to bottom, gradients
# from bottom to top. The second picture is the end of it, one step of the backward pass at a time.

# %%
digits = data.datasets.digits(size=28, margin=4)
train, test = data.train_test_split(digits, test=0.25, generator=tc.Generator(0))
train, test = data.standardise(train, test)
images, labels = next(iter(data.DataLoader(train, 4)))
loss = nn.functional.cross_entropy(model(images), labels)
chapter.save(draw_graph(loss, model), "graph.svg")
hidden = model[:9](images).detach()
head = nn.functional.cross_entropy(model[9:](hidden), labels)
path = draw_backward(head, dict(model.named_parameters())).save(chapter.out / "backward.html")
print(f"wrote {path}: open it in a browser, and press the right arrow")

# %% [markdown]
# ## Learning
#
# Of scikit-learn's 1,797 real digits a quarter is held out. Each is moved by up to two pixels,
# anew in every epoch; the learning rate follows half a wave of the cosine down to zero.

# %%
epochs = 6 if chapter.quick else 40
model.to(chapter.device)
optimizer = optim.Adam(model.parameters(), lr=0.003)
schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
shifted = data.Transformed(train, data.RandomShift(2))
history = fit(
    model,
    nn.CrossEntropyLoss(),
    optimizer,
    data.DataLoader(shifted, 32, shuffle=True),
    data.DataLoader(test, 500),
    epochs,
    callbacks=[lambda history: schedule.step()],
)
model.cpu()
losses = {"training": history.column("loss"), "held out": history.column("val_loss")}
chapter.save(lessons.curves(losses, ylabel="loss", log=True), "loss.png")

# %% [markdown]
# ## What it looks for, and what it gets wrong
#
# The first filters answer to strokes of one direction; the maps show where they find them.

# %%
chapter.save(lessons.filters(model[0].weight, title="first filters"), "filters.png")
one = test.tensors[0][:1]
with tc.no_grad():
    chapter.save(lessons.feature_maps(model[:2](one), title="after the first layer"), "maps_1.png")
    chapter.save(lessons.feature_maps(model[:5](one), title="after the second"), "maps_2.png")
result = evaluate(model, data.DataLoader(test, 500))
sure = result.probabilities[np.arange(len(result.targets)), result.targets]
worst = np.argsort(sure)[:12]
examples = [
    (test.tensors[0][int(i)], f"{result.targets[i]} read as {result.predictions[i]}",
     bool(result.targets[i] != result.predictions[i]))
    for i in worst
]  # fmt: skip
chapter.save(lessons.confusion(result.confusion, range(10), examples=examples), "confusion.png")

# %%
assert total == 61_706, total  # as in the paper's network with full connections and 28 × 28 inputs
assert result.accuracy >= (0.95 if chapter.quick else 0.985), result.accuracy
print(f"held-out digits read rightly: {100 * result.accuracy:.1f} %")
