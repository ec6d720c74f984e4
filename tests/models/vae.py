"""A variational autoencoder: reparameterisation, a Kullback-Leibler term, a conv decoder."""

import torch
import torch.utils.data
from torch import nn, optim
from torch.nn import functional as F


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 32)
        self.fc21 = nn.Linear(32, 4)
        self.fc22 = nn.Linear(32, 4)
        self.fc3 = nn.Linear(4, 32)
        self.fc4 = nn.Linear(32, 64)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h3))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 64))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


class ConvVAE(nn.Module):
    def __init__(self, latent_dim=3, hidden_dims=(4, 8)):
        super().__init__()
        modules = []
        in_channels = 1
        for h_dim in hidden_dims:
            modules.append(
                nn.Sequential(
                    nn.Conv2d(in_channels, h_dim, kernel_size=3, stride=2, padding=1),
                    nn.BatchNorm2d(h_dim),
                    nn.LeakyReLU(),
                )
            )
            in_channels = h_dim
        self.encoder = nn.Sequential(*modules)
        self.fc = nn.Linear(hidden_dims[-1] * 4, 2 * latent_dim)
        self.decoder_input = nn.Linear(latent_dim, hidden_dims[-1] * 4)
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (hidden_dims[-1], 2, 2)),
            nn.ConvTranspose2d(8, 4, kernel_size=3, stride=2, padding=1, output_padding=1),
            nn.BatchNorm2d(4),
            nn.LeakyReLU(0.2, inplace=True),
            nn.ConvTranspose2d(4, 1, kernel_size=4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, input):
        h = torch.flatten(self.encoder(input), start_dim=1)
        mu, log_var = self.fc(h).chunk(2, dim=-1)
        z = torch.randn_like(mu).mul(log_var.mul(0.5).exp_()).add_(mu)
        return self.decoder(self.decoder_input(z)), mu, log_var


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 64), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD


def conv_loss(recons, input, mu, log_var, kld_weight=0.1):
    recons_loss = F.mse_loss(recons, input)
    kld = torch.mean(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1), dim=0)
    return recons_loss + kld_weight * kld


def build():
    return nn.ModuleList([VAE(), ConvVAE()])


def train(models, steps):
    vae, conv = models
    data = torch.rand(20, 1, 8, 8)
    dataset = torch.utils.data.TensorDataset(data, torch.arange(20))
    loader = torch.utils.data.DataLoader(dataset, batch_size=5, shuffle=False)
    optimizer = optim.Adam(models.parameters(), lr=1e-2, amsgrad=False)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    losses = []
    for _ in range((steps + 3) // 4):
        for _, (batch, _) in enumerate(loader):
            optimizer.zero_grad()
            recon_batch, mu, logvar = vae(batch)
            loss = loss_function(recon_batch, batch, mu, logvar)
            loss += conv_loss(conv(batch)[0], batch, *conv(batch)[1:])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        scheduler.step()
    with torch.inference_mode():
        sample = vae.decode(torch.randn(2, 4)).cpu()
    return [*losses, *sample.flatten().tolist()]
