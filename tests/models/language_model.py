"""An LSTM language model: truncated backpropagation through time, a hidden state carried over."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class RNNModel(nn.Module):
    def __init__(self, rnn_type, ntoken, ninp, nhid, nlayers, dropout=0.0, tie_weights=False):
        super().__init__()
        self.ntoken = ntoken
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(ntoken, ninp)
        if rnn_type in ["LSTM", "GRU"]:
            self.rnn = getattr(nn, rnn_type)(ninp, nhid, nlayers, dropout=dropout)
        else:
            nonlinearity = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}[rnn_type]
            self.rnn = nn.RNN(ninp, nhid, nlayers, nonlinearity=nonlinearity, dropout=dropout)
        self.decoder = nn.Linear(nhid, ntoken)
        if tie_weights:
            if nhid != ninp:
                raise ValueError("When using the tied flag, nhid must be equal to emsize")
            self.decoder.weight = self.encoder.weight
        self.init_weights()
        self.rnn_type = rnn_type
        self.nhid = nhid
        self.nlayers = nlayers

    def init_weights(self):
        initrange = 0.1
        nn.init.uniform_(self.encoder.weight, -initrange, initrange)
        nn.init.zeros_(self.decoder.bias)
        self.decoder.weight.data.uniform_(-initrange, initrange)

    def forward(self, input, hidden):
        emb = self.drop(self.encoder(input))
        output, hidden = self.rnn(emb, hidden)
        output = self.drop(output)
        decoded = self.decoder(output)
        decoded = decoded.view(-1, self.ntoken)
        return F.log_softmax(decoded, dim=1), hidden

    def init_hidden(self, bsz):
        weight = next(self.parameters())
        if self.rnn_type == "LSTM":
            return (
                weight.new_zeros(self.nlayers, bsz, self.nhid),
                weight.new_zeros(self.nlayers, bsz, self.nhid),
            )
        return weight.new_zeros(self.nlayers, bsz, self.nhid)


class BiLSTM(nn.Module):
    """Reads both ways, batch first, and pools over time."""

    def __init__(self, ntoken, hidden):
        super().__init__()
        self.embed = nn.Embedding(ntoken, 6, padding_idx=0)
        self.lstm = nn.LSTM(6, hidden, num_layers=2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(4 * hidden, 2)

    def forward(self, tokens):
        output, (h_n, _) = self.lstm(self.embed(tokens))
        pooled, _ = torch.max(output, dim=1)
        final = torch.cat((h_n[-2], h_n[-1]), dim=1)
        return self.fc(torch.cat([pooled, final], dim=-1))


def repackage_hidden(h):
    """Wraps hidden states in new Tensors, to detach them from their history."""
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage_hidden(v) for v in h)


def batchify(data, bsz):
    nbatch = data.size(0) // bsz
    data = data.narrow(0, 0, nbatch * bsz)
    return data.view(bsz, -1).t().contiguous()


def get_batch(source, i, bptt=5):
    seq_len = min(bptt, len(source) - 1 - i)
    data = source[i : i + seq_len]
    target = source[i + 1 : i + 1 + seq_len].view(-1)
    return data, target


def build():
    return nn.ModuleList(
        [
            RNNModel("LSTM", 13, 8, 8, 2, tie_weights=True),
            RNNModel("GRU", 13, 8, 6, 1),
            RNNModel("RNN_TANH", 13, 5, 6, 1),
            BiLSTM(13, 3),
        ]
    )


def train(models, steps):
    corpus = batchify(torch.randint(0, 13, (4 * (5 * steps + 1) + 3,)), 4)
    criterion = nn.NLLLoss()
    lr = 1.0
    losses = []
    for model in models[:3]:
        model.train()
        hidden = model.init_hidden(4)
        for i in range(0, corpus.size(0) - 1, 5):
            data, targets = get_batch(corpus, i)
            model.zero_grad()
            hidden = repackage_hidden(hidden)
            output, hidden = model(data, hidden)
            loss = criterion(output, targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            for p in model.parameters():
                p.data.add_(p.grad, alpha=-lr)
            losses.append(math.exp(loss.item()))
    classifier = models[3]
    optimizer = torch.optim.Adagrad(classifier.parameters(), lr=0.05)
    for _ in range(steps):
        tokens, label = torch.randint(0, 13, (3, 7)), torch.randint(0, 2, (3,))
        loss = F.cross_entropy(classifier(tokens), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
