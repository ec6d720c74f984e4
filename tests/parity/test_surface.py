"""The public surface: every name that model code for PyTorch may use, with PyTorch's arguments.

The names are listed here as data. What PyTorch's functions take comes from their signatures, and
for those written in C++ from the type stubs that its package holds.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch

import tinygrad_course as tc
from tinygrad_course.primitive import Primitive

CREATION = """
tensor as_tensor from_numpy zeros ones full empty arange linspace eye zeros_like ones_like full_like
rand randn randint randperm rand_like randn_like normal bernoulli multinomial manual_seed Generator
"""
OPS = """
abs acos acosh add addmm all amax amin any arange argmax argmin argsort asin asinh atan atan2 atanh
baddbmm bmm broadcast_to broadcast_tensors cat ceil cholesky chunk clamp clamp_max clamp_min clone
cos cosh cross cummax cummin cumprod cumsum diag diag_embed diagonal diff dist div dot einsum eq erf
erfc exp exp2 expm1 eye flatten flip floor floor_divide fmax fmin fmod full full_like gather ge gt
hypot index_add index_fill index_select inner isclose isfinite isinf isnan kron le lerp linspace log
log10 log1p log2 log_softmax logaddexp logcumsumexp logdet logical_and logical_not logical_or
logical_xor logsumexp lt masked_fill masked_select matmul max maximum mean median meshgrid min
minimum mm movedim mul mv nan_to_num nanmean nansum narrow ne neg nonzero norm ones ones_like outer
permute pow prod reciprocal remainder repeat_interleave reshape roll rot90 round rsqrt scatter
scatter_add select sigmoid sign sin sinc sinh softmax sort split sqrt square squeeze stack std
std_mean sub sum swapaxes t take take_along_dim tan tanh tensor_split tensordot tile topk trace
transpose tril triu trunc unbind unflatten unique unsqueeze var var_mean vdot where xlogy zeros
zeros_like clip cdist relu index_put
"""
METHODS = """
numpy item tolist detach clone to cpu cuda float double int long bool half backward
requires_grad_ register_hook size dim numel contiguous type type_as view_as new_zeros new_ones
new_full new_tensor new_empty retain_grad nelement element_size is_contiguous is_floating_point
abs acos acosh add addmm all amax amin any argmax argmin argsort asin asinh atan atan2 atanh baddbmm
bmm broadcast_to ceil cholesky chunk clamp clamp_max clamp_min clip cos cosh cross cummax cummin
cumprod cumsum diag diag_embed diagonal diff dist div dot eq erf erfc exp exp2 expand expand_as
expm1 flatten flip floor floor_divide fmax fmin fmod gather ge gt hypot index_add index_fill
index_select inner isclose isfinite isinf isnan kron le lerp log log10 log1p log2 log_softmax
logaddexp logcumsumexp logdet logical_and logical_not logical_or logical_xor logsumexp lt
masked_fill masked_select matmul max maximum mean median min minimum mm movedim mul mv nan_to_num
nanmean nansum narrow ne neg nonzero norm outer permute pow prod reciprocal remainder repeat
repeat_interleave reshape roll rot90 round rsqrt scatter scatter_add select sigmoid sign sin sinc
sinh softmax sort split sqrt square squeeze std sub sum swapaxes t take take_along_dim tan tanh
tensor_split tile topk trace transpose tril triu trunc unbind unflatten unfold unique unsqueeze var
vdot view where xlogy relu
add_ sub_ mul_ div_ fill_ zero_ copy_ normal_ uniform_ clamp_ masked_fill_ index_fill_ scatter_
relu_ detach_
__len__ __iter__ __getitem__ __setitem__ __array__ __dlpack__ __matmul__ __rmatmul__ __add__
__radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __pow__ __rpow__ __neg__ __abs__
__and__ __or__ __xor__ __invert__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __floordiv__ __mod__
"""
PROPERTIES = "data shape ndim dtype device requires_grad grad is_leaf T mT is_cuda"
OWN_METHODS = "zero_grad"  # not PyTorch's
LINALG = """
cholesky det eigh inv matrix_norm norm qr slogdet solve solve_triangular svd vector_norm
"""
FUNCTIONAL = """
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool2d avg_pool1d avg_pool2d avg_pool3d
batch_norm binary_cross_entropy binary_cross_entropy_with_logits celu conv1d conv2d conv3d
conv_transpose1d conv_transpose2d conv_transpose3d cosine_similarity cross_entropy dropout elu
embedding gelu glu group_norm hardshrink hardsigmoid hardswish hardtanh hinge_embedding_loss
huber_loss instance_norm interpolate kl_div l1_loss layer_norm leaky_relu linear
local_response_norm logsigmoid log_softmax margin_ranking_loss max_pool1d max_pool2d max_pool3d mish
mse_loss multi_margin_loss nll_loss normalize one_hot pad pairwise_distance pixel_shuffle
pixel_unshuffle poisson_nll_loss prelu relu relu6 rms_norm scaled_dot_product_attention selu sigmoid
silu smooth_l1_loss soft_margin_loss softmax softmin softplus softshrink softsign tanh tanhshrink
threshold triplet_margin_loss unfold
"""
LAYERS = """
Module Parameter Sequential ModuleList ModuleDict Linear Bilinear Identity Flatten Unflatten Conv1d
Conv2d Conv3d ConvTranspose1d ConvTranspose2d MaxPool1d MaxPool2d AvgPool1d AvgPool2d
AdaptiveAvgPool2d BatchNorm1d BatchNorm2d LayerNorm GroupNorm InstanceNorm2d RMSNorm
LocalResponseNorm Dropout Dropout2d Embedding RNNCell LSTMCell GRUCell RNN LSTM GRU
MultiheadAttention TransformerEncoderLayer TransformerEncoder TransformerDecoderLayer
TransformerDecoder Transformer PixelShuffle Upsample
CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid LogSoftmax Mish
PReLU ReLU ReLU6 SELU Sigmoid SiLU Softmax Softmin Softplus Softshrink Softsign Tanh Tanhshrink
Threshold
BCELoss BCEWithLogitsLoss CosineEmbeddingLoss CrossEntropyLoss HingeEmbeddingLoss HuberLoss
KLDivLoss L1Loss MarginRankingLoss MSELoss MultiMarginLoss NLLLoss PoissonNLLLoss SmoothL1Loss
SoftMarginLoss TripletMarginLoss PixelUnshuffle Unfold CosineSimilarity PairwiseDistance
"""
MODULE = """
parameters named_parameters buffers named_buffers modules named_modules children named_children
register_buffer register_parameter add_module apply train eval to requires_grad_ zero_grad
state_dict load_state_dict register_forward_hook forward float double half cpu cuda
"""
INIT = """
constant_ zeros_ ones_ normal_ uniform_ xavier_uniform_ xavier_normal_ kaiming_uniform_
kaiming_normal_ orthogonal_ trunc_normal_ calculate_gain
"""
OPTIM = "SGD Adagrad RMSprop Adadelta Adam AdamW Optimizer"
SCHEDULERS = """
LambdaLR StepLR MultiStepLR ExponentialLR CosineAnnealingLR OneCycleLR LinearLR SequentialLR
ReduceLROnPlateau
"""
UTILS = """
clip_grad_norm_ clip_grad_value_ parameters_to_vector vector_to_parameters weight_norm
"""
DATA = "Dataset TensorDataset DataLoader random_split Subset"
DISTRIBUTIONS = "Categorical Normal Bernoulli"
AUTOGRAD = "grad backward no_grad enable_grad set_grad_enabled Function"
FRONT = """
Tensor no_grad enable_grad set_grad_enabled inference_mode is_grad_enabled set_default_dtype
get_default_dtype device save load finfo iinfo
"""
OURS = """
Scalar Tensor.zero_grad autograd.checkpoint autograd.once_differentiable func.grad
func.value_and_grad func.vjp func.jvp func.jacrev func.jacfwd func.hessian func.hvp
testing.gradcheck data.train_val_test_split nn.parameter.Parameter nn.modules.Module
nn.modules.conv.Conv2d
optim.optimizer.Optimizer optim.Optimizer utils.data.DataLoader
utils.data.TensorDataset utils.checkpoint.checkpoint
"""
DTYPES = """
float16 float32 float64 uint8 int8 int16 int32 int64 bool float double half long int short
"""

# Ours after PyTorch's: the path and the name there.
PATHS = {
    "": (CREATION, OPS, FRONT),
    "Tensor": (METHODS,),
    "linalg": (LINALG,),
    "nn.functional": (FUNCTIONAL,),
    "nn": (LAYERS,),
    "nn.Module": (MODULE,),
    "nn.init": (INIT,),
    "optim": (OPTIM,),
    "optim.lr_scheduler": (SCHEDULERS,),
    "nn.utils": (UTILS,),
    "utils.data": (DATA,),
    "distributions": (DISTRIBUTIONS,),
    "autograd": (AUTOGRAD,),
}
NAMES = sorted(
    {f"{path}.{n}".lstrip(".") for path, texts in PATHS.items() for t in texts for n in t.split()}
)

# Arguments that no function of ours has: what they are about does not exist here.
NOWHERE = {
    "out", "layout", "pin_memory", "memory_format", "_stacklevel", "size_average", "reduce",
    "non_blocking", "foreach", "maximize", "capturable", "differentiable", "fused", "names",
    "sparse_grad", "self",
}  # fmt: skip
# Those that one function lacks: it says so by a TypeError, as for any unknown name.
REFUSED = {
    "Tensor.backward": {"inputs"},  # autograd.backward has them
    "autograd.grad": {"is_grads_batched"},
    "addmm": {"out_dtype"},
    "baddbmm": {"out_dtype"},
    "bmm": {"out_dtype"},
    "mm": {"out_dtype"},
    "nn.Embedding": {"_weight", "_freeze"},
    "nn.Module.load_state_dict": {"assign"},
    "nn.Module.modules": {"remove_duplicate"},
    "nn.Module.state_dict": {"destination"},
    "optim.Adam": {"decoupled_weight_decay"},  # AdamW
    "utils.data.DataLoader": {"in_order", "pin_memory_device"},
    # files are safetensors files, without pickles
    "load": {"f", "map_location", "weights_only", "mmap", "pickle_load_args", "pickle_module"},
    "save": {"f", "obj", "pickle_module", "pickle_protocol", "_disable_byteorder_record",
             "_use_new_zipfile_serialization"},
}  # fmt: skip
# Arguments that are given by position and have another name here, or that PyTorch calls by several
# names, some of them old.
OTHER_NAMES = {
    "cholesky": {"input"}, "dot": {"input", "tensor"}, "from_numpy": {"ndarray"},
    "linalg.cholesky": {"input"}, "linalg.det": {"input"}, "linalg.slogdet": {"input"},
    "linalg.qr": {"input", "some"}, "linalg.svd": {"input", "some", "compute_uv"},
    "set_default_dtype": {"d"}, "nn.Hardtanh": {"min_value", "max_value"},
    "broadcast_to": {"size"}, "Tensor.broadcast_to": {"size"}, "Tensor.copy_": {"other"},
    "max": {"other"}, "min": {"other"}, "Tensor.max": {"other"}, "Tensor.min": {"other"},
    "Tensor.requires_grad_": {"mode"}, "autograd.backward": {"grad_variables"},
    "Tensor.split": {"split_size"}, "Tensor.__getitem__": {"key"}, "Tensor.__setitem__": {"key"},
    "tensor_split": {"tensor_indices_or_sections", "indices", "sections"},
    "Tensor.tensor_split": {"tensor_indices_or_sections", "indices", "sections"},
}  # fmt: skip


def resolve(root: Any, path: str) -> Any:
    """What a dotted path names; modules on the way are imported."""
    found = root
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(f"{found.__name__}.{part}")
    return found


def test_every_name_is_there() -> None:
    absent = [name for name in (*NAMES, *OURS.split()) if not is_there(name)]
    assert not absent


def is_there(name: str) -> bool:
    try:
        return callable(resolve(tc, name))
    except (AttributeError, ImportError):
        return False


def test_every_property_and_dtype_is_there() -> None:
    x = tc.ones(2, 3, requires_grad=True)
    y = torch.ones(2, 3, requires_grad=True)
    for name in PROPERTIES.split():
        ours, theirs = getattr(x, name), getattr(y, name)
        if name in ("data", "T", "mT"):
            assert ours.tolist() == theirs.tolist()
        elif name == "device":
            assert ours.type == theirs.type
        elif name != "dtype":
            assert ours == theirs, name
    for name in ("inf", "pi", "e"):
        assert getattr(tc, name) == getattr(torch, name)
    assert tc.finfo(tc.float32).min == torch.finfo(torch.float32).min
    for name in DTYPES.split():
        assert str(getattr(torch, name)) == f"torch.{getattr(tc, name)}"


# --- arguments ------------------------------------------------------------------------------------

STUBS = {
    "": "_C/_VariableFunctions.pyi",
    "nn.functional": "_C/_nn.pyi",
    "Tensor": "_C/__init__.pyi",
}


@functools.cache
def stubs(path: str) -> dict[str, list[list[str]]]:
    """The arguments of each overload of each function, from one of PyTorch's type stubs."""
    file = Path(torch.__file__).parent / STUBS[path]
    body: Any = ast.parse(file.read_text(encoding="utf-8")).body
    if path == "Tensor":
        (body,) = (n.body for n in body if isinstance(n, ast.ClassDef) and n.name == "TensorBase")
    found: dict[str, list[list[str]]] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            named = any(
                "EllipsisType" in ast.unparse(p.annotation) for p in parameters if p.annotation
            )
            if not named:  # dimensions with names are another world
                found.setdefault(node.name, []).append([p.arg for p in parameters])
    return found


def pytorchs(name: str) -> list[list[str]]:
    """The arguments of PyTorch's function, by overload."""
    path, _, last = name.rpartition(".")
    theirs = resolve(torch, name)
    try:
        return [list(inspect.signature(theirs).parameters)]
    except ValueError:  # written in C++
        written = stubs(path) if path in STUBS else {}
        return written.get(last) or stubs("").get(last, [])


def accepted(ours: Any) -> set[str] | None:
    """The names that ours takes; None for any."""
    try:
        parameters = inspect.signature(ours).parameters
    except ValueError:  # written in C
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    return set(parameters)


def missing(name: str) -> set[str]:
    """Arguments of PyTorch's function that ours does not know."""
    ours = resolve(tc, name)
    if name.startswith("Tensor.") and not name.endswith("_"):
        bound = tc.methods.TENSOR_FUNCTIONS.get(name.removeprefix("Tensor."))
        ours = bound if bound is not None else ours
    if isinstance(ours, Primitive):
        return set()  # its arguments are taken by position
    takes = accepted(ours)
    if takes is None:
        return set()
    asked = {p for overload in pytorchs(name) for p in overload}
    return asked - takes - NOWHERE - OTHER_NAMES.get(name, set()) - {"args", "kwargs"}


def test_pytorchs_arguments_are_taken() -> None:
    """All but those that are refused by name; and those are refused indeed."""
    assert {name: m for name in NAMES if (m := missing(name))} == REFUSED


@pytest.mark.parametrize("name", ["mm", "bmm"])
def test_a_refused_argument_is_an_error(name: str) -> None:
    x = tc.ones((2,) * len(name))  # a matrix for mm, a batch for bmm
    with pytest.raises(TypeError, match="out_dtype"):
        getattr(tc, name)(x, x, out_dtype=tc.float32)
