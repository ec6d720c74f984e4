"""Actor-critic on a small pole that falls: sampled actions, returns, advantages, PPO's clip."""

from collections import deque, namedtuple

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.distributions import Categorical, Normal

SavedAction = namedtuple("SavedAction", ["log_prob", "value"])
eps = np.finfo(np.float64).eps.item()


class Pole:
    """x'' pushes; an angle that grows; falls beyond a limit."""

    def reset(self):
        self.state = np.array([0.0, 0.0, 0.05, 0.0])
        return self.state

    def step(self, action):
        x, v, angle, spin = self.state
        push = 1.0 if action == 1 else -1.0
        v, spin = v + 0.1 * push, spin + 0.3 * np.sin(angle) - 0.2 * push
        self.state = np.array([x + 0.1 * v, v, angle + 0.1 * spin, spin])
        return self.state, 1.0 - abs(angle), abs(angle) > 0.6


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(4, 16)
        self.action_head = nn.Linear(16, 2)
        self.value_head = nn.Linear(16, 1)
        self.saved_actions = []
        self.rewards = []

    def forward(self, x):
        x = F.relu(self.affine1(x))
        action_prob = F.softmax(self.action_head(x), dim=-1)
        state_values = self.value_head(x)
        return action_prob, state_values


class GaussianPolicy(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.Tanh())
        self.mu = nn.Linear(8, 2)
        self.log_std = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        h = self.body(x)
        return Normal(self.mu(h), self.log_std.exp().expand(x.size(0), 2))


def select_action(model, state):
    state = torch.from_numpy(state)
    probs, state_value = model(state)
    m = Categorical(probs)
    action = (torch.rand(()) < probs[1]).long()  # a draw that any library repeats
    model.saved_actions.append(SavedAction(m.log_prob(action), state_value))
    return action.item(), m.entropy()


def finish_episode(model, optimizer, entropies):
    R = 0
    policy_losses = []
    value_losses = []
    returns = deque()
    for r in model.rewards[::-1]:
        R = r + 0.99 * R
        returns.appendleft(R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    for (log_prob, value), R in zip(model.saved_actions, returns, strict=True):
        advantage = R - value.item()
        policy_losses.append(-log_prob * advantage)
        value_losses.append(F.smooth_l1_loss(value, torch.tensor([R])))
    optimizer.zero_grad()
    loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum()
    loss = loss - 0.01 * torch.stack(entropies).mean()
    loss.backward()
    optimizer.step()
    del model.rewards[:]
    del model.saved_actions[:]
    return loss.item()


def ppo_step(policy, optimizer):
    states, actions = torch.randn(6, 4), torch.randn(6, 2)
    advantage = torch.randn(6)
    with torch.no_grad():
        old = policy(states).log_prob(actions * 0.5).sum(-1)
    for _ in range(2):
        dist = policy(states)
        ratio = torch.exp(dist.log_prob(actions).sum(axis=-1) - old)
        clipped = torch.clamp(ratio, 0.8, 1.2) * advantage
        loss = -torch.min(ratio * advantage, clipped).mean() - 0.01 * dist.entropy().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def build():
    return nn.ModuleDict({"policy": Policy(), "gaussian": GaussianPolicy()})


def train(models, steps):
    policy, gaussian = models["policy"], models["gaussian"]
    optimizer = optim.Adam(policy.parameters(), lr=3e-2)
    ppo = optim.Adam(gaussian.parameters(), lr=1e-2)
    env, losses = Pole(), []
    for _ in range(steps):
        state, entropies = env.reset(), []
        for _ in range(12):
            action, entropy = select_action(policy, state)
            state, reward, done = env.step(action)
            policy.rewards.append(reward)
            entropies.append(entropy)
            if done:
                break
        losses.append(finish_episode(policy, optimizer, entropies))
        losses.append(ppo_step(gaussian, ppo))
    return losses
