"""LeNet-5 learns to read handwritten digits (Y. LeCun et al., 1998).

It trains on the 1,797 real digits that scikit-learn carries, or on MNIST with --data, and writes
pictures of what it computes, how it learned, what it looks for, and what it gets wrong.

    python examples/lenet.py --out outputs
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import pictures
from tinygrad_course_viz import draw_graph

import tinygrad_course as tc
from tinygrad_course import data, nn, optim
from tinygrad_course.files import output_folder, save
from tinygrad_course.training import evaluate, fit


class LeNet(nn.Module):
    """Two layers of filters that look at small windows, then three that look at everything."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.pool = nn.AvgPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):  # (N, 1, 28, 28)
        x = self.pool(tc.tanh(self.conv1(x)))  # (N, 6, 14, 14)
        x = self.pool(tc.tanh(self.conv2(x)))  # (N, 16, 5, 5)
        x = self.flatten(x)  # (N, 400)
        x = tc.tanh(self.fc1(x))
        x = tc.tanh(self.fc2(x))
        return self.fc3(x)  # (N, 10): a score for each digit


def load(folder, quick):
    """Digits to learn from and digits held out, from MNIST's files or from scikit-learn.

    Of scikit-learn's digits every fourth is held out, the same ones whatever the seed, so that runs
    can be compared. It is a random choice: the same hands wrote both parts.
    """
    if folder is not None:
        train, test = data.datasets.mnist(folder), data.datasets.mnist(folder, train=False)
    else:
        digits = data.datasets.digits(size=28, margin=4)
        train, test = data.train_test_split(digits, test=0.25, generator=tc.Generator(0))
    if quick:
        train, test = (data.Subset(d, range(min(len(d), 400))) for d in (train, test))
    return data.standardise(train, test)


def train(model, digits, held_out, options):
    """Adam on shifted digits; the learning rate follows half a cosine wave down to zero."""
    optimizer = optim.Adam(model.parameters(), lr=options.lr)

    def cool(history):
        done = len(history) / options.epochs
        optimizer.param_groups[0]["lr"] = options.lr * (1 + math.cos(math.pi * done)) / 2

    shifted = data.Transformed(digits, data.RandomShift(2))
    batches = data.DataLoader(shifted, options.batch_size, shuffle=True)
    measured, loss = data.DataLoader(held_out, 500), nn.CrossEntropyLoss()
    return fit(model, loss, optimizer, batches, measured, options.epochs, callbacks=[cool])


def draw(model, digits, path):
    """The graph of the loss of one small batch, as the engine recorded it."""
    images, labels = next(iter(data.DataLoader(digits, 4)))
    loss = nn.functional.cross_entropy(model(images), labels)
    draw_graph(loss, params=model).save(path)


def run(options):
    """Load, look, train, measure; every picture and the weights go to the output folder."""
    tc.devices.check(options.device)
    digits, held_out = load(options.data, options.quick)
    out = output_folder(options.out)
    tc.manual_seed(options.seed)
    model = LeNet()
    count = sum(p.numel() for p in model.parameters())
    print(f"LeNet-5: {count:,} parameters, {len(digits):,} digits, {len(held_out):,} held out")
    draw(model, digits, out / "graph.svg")
    print(f"wrote {out / 'graph.svg'}: the computation graph of one small batch")

    history = train(model.to(options.device), digits, held_out, options)
    result = evaluate(model, data.DataLoader(held_out, 500))
    model.cpu()
    images = held_out.tensors[0]

    pictures.curves(history, out / "curves.png")
    print(f"wrote {out / 'curves.png'}: loss and accuracy, epoch by epoch")
    pictures.filters(model.conv1, images[:1], out / "filters.png")
    print(f"wrote {out / 'filters.png'}: the learned filters of the first layer")
    pictures.confusion(result, images.numpy(), out / "confusion.png")
    print(f"wrote {out / 'confusion.png'}: what is taken for what, and the worst mistakes")
    save(model.state_dict(), out / "lenet.safetensors")
    print(f"wrote {out / 'lenet.safetensors'}: the trained weights")
    found = f"{result.correct} of {len(held_out)} digits"
    print(f"held-out accuracy: {100 * result.accuracy:.1f} % ({found})")


# --- the command line -----------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message):
        self.exit(2, f"error: {message}\n")


def number(kind, least, what):
    """A reader of numbers of at least `least`."""

    def read(text):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value < math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return read


def parsed(arguments):
    count = number(int, 1, "a whole number of at least 1")
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", metavar="DIR", type=Path, help="folder with MNIST's IDX files, gzipped or not")
    add("--epochs", type=count, help="passes over the digits (40; 5 with --data)")
    add("--batch-size", type=count, default=32, help="digits in a step (%(default)s)")
    rate = number(float, 1e-12, "a number above 0")
    add("--lr", type=rate, default=0.003, help="learning rate (%(default)s)")
    seed = number(int, 0, "a whole number of at least 0")
    add("--seed", type=seed, default=0, help="decides every random choice (%(default)s)")
    add("--device", default="cpu", help="where to learn: cpu or cuda (%(default)s)")
    add("--out", metavar="FOLDER", type=Path, default=Path("outputs"), help="(%(default)s)")
    add("--quick", action="store_true", help="a rehearsal: few digits, two epochs")
    options = parser.parse_args(arguments)
    if options.epochs is None:
        options.epochs = 2 if options.quick else 40 if options.data is None else 5
    return options


def main(arguments=None):
    options = parsed(arguments)
    try:
        run(options)
    except KeyboardInterrupt:
        sys.exit("stopped")
    except (OSError, ValueError, RuntimeError, ArithmeticError, ImportError) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
