"""A MobileNet of the third kind: depthwise convolutions, squeeze-and-excitation, hard swish."""

import math
from functools import partial

import torch
from torch import nn


def _make_divisible(v, divisor=8, min_value=None):
    if min_value is None:
        min_value = divisor
    new_v = max(min_value, int(v + divisor / 2) // divisor * divisor)
    if new_v < 0.9 * v:
        new_v += divisor
    return new_v


class ConvNormActivation(nn.Sequential):
    def __init__(
        self, cin, cout, kernel_size=3, stride=1, groups=1, dilation=1,
        norm_layer=nn.BatchNorm2d, activation_layer=nn.ReLU,
    ):  # fmt: skip
        padding = (kernel_size - 1) // 2 * dilation
        layers = [
            nn.Conv2d(
                cin, cout, kernel_size, stride, padding, dilation=dilation, groups=groups,
                bias=False,
            ),
            norm_layer(cout),
        ]  # fmt: skip
        if activation_layer is not None:
            layers.append(activation_layer(inplace=True))
        super().__init__(*layers)
        self.out_channels = cout


class SqueezeExcitation(nn.Module):
    def __init__(self, input_channels, squeeze_channels):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = nn.ReLU()
        self.scale_activation = nn.Hardsigmoid()

    def forward(self, x):
        scale = self.avgpool(x)
        scale = self.fc1(scale)
        scale = self.activation(scale)
        scale = self.fc2(scale)
        return self.scale_activation(scale) * x


class InvertedResidual(nn.Module):
    def __init__(self, cin, kernel, expanded, cout, use_se, use_hs, stride, dilation, norm_layer):
        super().__init__()
        self.use_res_connect = stride == 1 and cin == cout
        layers = []
        activation_layer = nn.Hardswish if use_hs else nn.ReLU6
        if expanded != cin:
            layers.append(
                ConvNormActivation(
                    cin, expanded, 1, norm_layer=norm_layer, activation_layer=activation_layer
                )
            )
        layers.append(
            ConvNormActivation(
                expanded,
                expanded,
                kernel,
                1 if dilation > 1 else stride,
                expanded,
                dilation,
                norm_layer,
                activation_layer,
            )
        )
        if use_se:
            layers.append(SqueezeExcitation(expanded, _make_divisible(expanded // 4)))
        layers.append(
            ConvNormActivation(expanded, cout, 1, norm_layer=norm_layer, activation_layer=None)
        )
        self.block = nn.Sequential(*layers)

    def forward(self, input):
        result = self.block(input)
        if self.use_res_connect:
            result += input
        return result


class MobileNet(nn.Module):
    def __init__(self, settings, last_channel=24, num_classes=6, dropout=0.0):
        super().__init__()
        norm_layer = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        layers = [
            ConvNormActivation(3, 8, stride=2, norm_layer=norm_layer, activation_layer=nn.Hardswish)
        ]
        for s in settings:
            layers.append(InvertedResidual(*s, norm_layer=norm_layer))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(settings[-1][3], last_channel),
            nn.Hardswish(inplace=True),
            nn.Dropout(p=dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")
                if m.bias is not None:
                    nn.init.zeros_(m.bias)
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.ones_(m.weight)
                nn.init.zeros_(m.bias)
            elif isinstance(m, nn.Linear):
                nn.init.uniform_(m.weight, -1 / math.sqrt(m.in_features), 0.1)
                nn.init.zeros_(m.bias)

    def forward(self, x):
        x = self.features(x)
        x = self.avgpool(x)
        x = torch.flatten(x, 1)
        return self.classifier(x)


def build():
    return MobileNet(
        [
            (8, 3, 8, 8, True, False, 1, 1),
            (8, 3, 16, 12, False, True, 2, 1),
            (12, 5, 24, 12, True, True, 1, 2),
        ]
    )


def train(model, steps):
    optimizer = torch.optim.SGD(
        [
            {"params": model.features.parameters(), "lr": 0.02},
            {"params": model.classifier.parameters()},
        ],
        lr=0.05,
        momentum=0.9,
        dampening=0.1,
    )
    lr_scheduler = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=3),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7),
        ],
        milestones=[3],
    )
    criterion = nn.CrossEntropyLoss(weight=torch.linspace(0.5, 1.5, 6))
    losses = []
    for _ in range(steps):
        image, target = torch.rand(4, 3, 15, 18), torch.randint(0, 6, (4,))
        loss = criterion(model(image), target)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.5)
        optimizer.step()
        lr_scheduler.step()
        losses.append(loss.item())
    return losses
