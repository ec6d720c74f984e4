"""Diffusion: a small U-Net with time embeddings and attention that learns to take noise away."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn


def exists(x):
    return x is not None


def default(val, d):
    return val if exists(val) else d


def extract(a, t, x_shape):
    b, *_ = t.shape
    out = a.gather(-1, t)
    return out.reshape(b, *((1,) * (len(x_shape) - 1)))


def cosine_beta_schedule(timesteps, s=0.008):
    x = torch.linspace(0, timesteps, timesteps + 1)
    alphas_cumprod = torch.cos(((x / timesteps) + s) / (1 + s) * math.pi * 0.5) ** 2
    alphas_cumprod = alphas_cumprod / alphas_cumprod[0]
    betas = 1 - (alphas_cumprod[1:] / alphas_cumprod[:-1])
    return torch.clip(betas, 0, 0.999)


class SinusoidalPosEmb(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        device = x.device
        half_dim = self.dim // 2
        emb = math.log(10000) / (half_dim - 1)
        emb = torch.exp(torch.arange(half_dim, device=device) * -emb)
        emb = x[:, None] * emb[None, :]
        return torch.cat((emb.sin(), emb.cos()), dim=-1)


class Block(nn.Module):
    def __init__(self, dim, dim_out, groups=2):
        super().__init__()
        self.proj = nn.Conv2d(dim, dim_out, 3, padding=1)
        self.norm = nn.GroupNorm(groups, dim_out)
        self.act = nn.SiLU()

    def forward(self, x, scale_shift=None):
        x = self.norm(self.proj(x))
        if exists(scale_shift):
            scale, shift = scale_shift
            x = x * (scale + 1) + shift
        return self.act(x)


class ResnetBlock(nn.Module):
    def __init__(self, dim, dim_out, *, time_emb_dim=None, groups=2):
        super().__init__()
        self.mlp = (
            nn.Sequential(nn.SiLU(), nn.Linear(time_emb_dim, dim_out * 2))
            if exists(time_emb_dim)
            else None
        )
        self.block1 = Block(dim, dim_out, groups=groups)
        self.block2 = Block(dim_out, dim_out, groups=groups)
        self.res_conv = nn.Conv2d(dim, dim_out, 1) if dim != dim_out else nn.Identity()

    def forward(self, x, time_emb=None):
        scale_shift = None
        if exists(self.mlp) and exists(time_emb):
            time_emb = self.mlp(time_emb)
            time_emb = time_emb[:, :, None, None]
            scale_shift = time_emb.chunk(2, dim=1)
        h = self.block1(x, scale_shift=scale_shift)
        h = self.block2(h)
        return h + self.res_conv(x)


class RMSNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, dim, 1, 1))

    def forward(self, x):
        return F.normalize(x, dim=1) * self.g * (x.shape[1] ** 0.5)


class LinearAttention(nn.Module):
    def __init__(self, dim, heads=2, dim_head=4):
        super().__init__()
        self.scale = dim_head**-0.5
        self.heads = heads
        hidden_dim = dim_head * heads
        self.norm = RMSNorm(dim)
        self.to_qkv = nn.Conv2d(dim, hidden_dim * 3, 1, bias=False)
        self.to_out = nn.Sequential(nn.Conv2d(hidden_dim, dim, 1), RMSNorm(dim))

    def forward(self, x):
        b, _, h, w = x.shape
        qkv = self.to_qkv(self.norm(x)).chunk(3, dim=1)
        q, k, v = (t.reshape(b, self.heads, -1, h * w) for t in qkv)
        q = q.softmax(dim=-2) * self.scale
        k = k.softmax(dim=-1)
        context = torch.einsum("b h d n, b h e n -> b h d e", k, v)
        out = torch.einsum("b h d e, b h d n -> b h e n", context, q)
        return self.to_out(out.reshape(b, -1, h, w))


class Downsample(nn.Module):
    def __init__(self, dim, dim_out):
        super().__init__()
        self.unshuffle = nn.PixelUnshuffle(2)
        self.conv = nn.Conv2d(dim * 4, dim_out, 1)

    def forward(self, x):
        return self.conv(self.unshuffle(x))


def Upsample(dim, dim_out=None):
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(dim, default(dim_out, dim), 3, padding=1),
    )


class Unet(nn.Module):
    def __init__(self, dim=4, channels=1):
        super().__init__()
        self.init_conv = nn.Conv2d(channels, dim, 3, padding=1)
        time_dim = dim * 4
        self.time_mlp = nn.Sequential(
            SinusoidalPosEmb(dim),
            nn.Linear(dim, time_dim),
            nn.GELU(),
            nn.Linear(time_dim, time_dim),
        )
        self.down_block = ResnetBlock(dim, dim, time_emb_dim=time_dim)
        self.down_attn = LinearAttention(dim)
        self.down = Downsample(dim, dim * 2)
        self.mid_block1 = ResnetBlock(dim * 2, dim * 2, time_emb_dim=time_dim)
        self.mid_attn = nn.MultiheadAttention(dim * 2, 2, batch_first=True)
        self.mid_block2 = ResnetBlock(dim * 2, dim * 2, time_emb_dim=time_dim)
        self.up = Upsample(dim * 2, dim)
        self.up_block = ResnetBlock(dim * 2, dim, time_emb_dim=time_dim)
        self.final_conv = nn.Conv2d(dim, channels, 1)

    def forward(self, x, time):
        x = self.init_conv(x)
        t = self.time_mlp(time)
        x = self.down_block(x, t)
        x = self.down_attn(x) + x
        h = x
        x = self.mid_block1(self.down(x), t)
        b, c, height, width = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        attended, _ = self.mid_attn(tokens, tokens, tokens, need_weights=False)
        x = x + attended.transpose(1, 2).reshape(b, c, height, width)
        x = self.up(self.mid_block2(x, t))
        x = self.up_block(torch.cat((x, h), dim=1), t)
        return self.final_conv(x)


class GaussianDiffusion(nn.Module):
    def __init__(self, model, *, timesteps=20):
        super().__init__()
        self.model = model
        betas = cosine_beta_schedule(timesteps)
        alphas = 1.0 - betas
        alphas_cumprod = torch.cumprod(alphas, dim=0)
        alphas_cumprod_prev = F.pad(alphas_cumprod[:-1], (1, 0), value=1.0)
        self.num_timesteps = int(betas.shape[0])
        self.register_buffer("betas", betas)
        self.register_buffer("sqrt_alphas_cumprod", torch.sqrt(alphas_cumprod))
        self.register_buffer("sqrt_one_minus_alphas_cumprod", torch.sqrt(1.0 - alphas_cumprod))
        self.register_buffer("sqrt_recip_alphas", torch.sqrt(1.0 / alphas))
        snr = alphas_cumprod / (1 - alphas_cumprod)
        self.register_buffer("loss_weight", snr.clone().clamp_(max=5) / snr)
        self.register_buffer(
            "posterior_variance", betas * (1.0 - alphas_cumprod_prev) / (1.0 - alphas_cumprod)
        )

    def q_sample(self, x_start, t, noise=None):
        noise = default(noise, torch.randn_like(x_start))
        return (
            extract(self.sqrt_alphas_cumprod, t, x_start.shape) * x_start
            + extract(self.sqrt_one_minus_alphas_cumprod, t, x_start.shape) * noise
        )

    @torch.no_grad()
    def p_sample(self, x, t):
        b = x.shape[0]
        times = torch.full((b,), t, dtype=torch.long)
        model_mean = extract(self.sqrt_recip_alphas, times, x.shape) * (
            x
            - extract(self.betas, times, x.shape)
            * self.model(x, times)
            / extract(self.sqrt_one_minus_alphas_cumprod, times, x.shape)
        )
        if t == 0:
            return model_mean
        variance = extract(self.posterior_variance, times, x.shape)
        return model_mean + torch.sqrt(variance) * torch.randn_like(x)

    def forward(self, img):
        b = img.shape[0]
        t = torch.randint(0, self.num_timesteps, (b,), device=img.device).long()
        noise = torch.randn_like(img)
        x = self.q_sample(x_start=img * 2 - 1, t=t, noise=noise)
        loss = F.mse_loss(self.model(x, t), noise, reduction="none")
        loss = loss.mean(dim=(1, 2, 3)) * extract(self.loss_weight, t, (b,))
        return loss.mean()


class EMA:
    """A copy whose weights follow slowly."""

    def __init__(self, model, beta=0.9):
        self.model = copy.deepcopy(model)
        self.model.requires_grad_(False)
        self.beta = beta

    def update(self, model):
        for ours, theirs in zip(self.model.parameters(), model.parameters(), strict=True):
            ours.data = ours.data * self.beta + (1 - self.beta) * theirs.data


def build():
    return GaussianDiffusion(Unet())


def train(model, steps):
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, betas=(0.9, 0.99))
    ema, losses = EMA(model), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(torch.rand(2, 1, 8, 8))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        ema.update(model)
        losses.append(loss.item())
    img = torch.randn(1, 1, 8, 8)
    for t in reversed(range(3)):
        img = ema.model.p_sample(img, t)
    return [*losses, *img.flatten().tolist()]
