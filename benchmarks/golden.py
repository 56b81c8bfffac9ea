"""Golden values: record what small runs compute, and compare with it later.

    python benchmarks/golden.py --write   # record
    python benchmarks/golden.py           # compare, and fail where a value moved

Recorded are outputs, last states and gradients of single calls in float64, of each
tensor a few numbers (`results/golden.npz`), and the `metrics.json` of three short
trainings in float32 (`results/golden.json`).
"""
import argparse
import contextlib
import io
import json
import sys
import tempfile
import warnings
from importlib import import_module
from pathlib import Path
from zlib import crc32
import numpy as np
import torch
import xarray
from common import describe, results

# Where things are. After a rename, change these two tables and nothing else.
MODULES = dict(
    ConvLSTMCell="convlstm_nb.cell",
    ConvLSTM="convlstm_nb.layers",
    EncoderForecaster="convlstm_nb.models.forecaster",
    NextFrameForecaster="convlstm_nb.models.forecaster",
    LagrangianForecaster="convlstm_nb.models.lagrangian",
    PeriodicForecaster="convlstm_nb.models.periodic",
    convlstm_train="convlstm_nb.cli",
)
RENAMED = {}  # part of a parameter's name now -> the same part when it was recorded

CALL_BOUND = 1e-9  # relative to the largest value of the tensor
TRAINING_BOUND = 1e-4  # relative to the largest value of the score over lead times
SIZES = {1: (11,), 2: (7, 6), 3: (4, 5, 6)}  # images by their number of axes

CELLS = [
    dict(),
    dict(in_channels=0),
    dict(peephole="full", spatial_size=SIZES[2], state=False),
    dict(norm="batch", train=False),
    dict(spatial_dims=1, kernel_size=4, hidden_kernel_size=5, padding_mode="reflect"),
    dict(spatial_dims=3, kernel_size=(1, 3, 3), norm="group", bias=False),
]
LAYERS = [
    dict(),
    dict(peephole=None, state=False),
    dict(peephole="full", spatial_size=SIZES[2]),
    *[dict(norm=n) for n in ("layer", "group", "batch")],
    dict(norm="batch", train=False),
    dict(norm="batch", lengths=[5, 2]),
    *[dict(padding_mode=p) for p in ("reflect", "replicate", "circular")],
    dict(kernel_size=5, hidden_kernel_size=3),
    dict(kernel_size=4, hidden_kernel_size=3),
    dict(kernel_size=4, hidden_kernel_size=3, padding_mode="circular"),
    dict(kernel_size=(3, 5)),
    dict(dilation=(1, 2)),
    *[dict(spatial_dims=n, checkpoint_every=2) for n in (1, 3)],
    *[dict(bias=False, peephole=None, norm=n) for n in (None, "layer")],
    dict(batch_first=False, lengths=[5, 2]),
    dict(padding_mode="reflect", lengths=[1, 4]),
    dict(bidirectional=True, hidden_channels=[4, 2], lengths=[5, 2]),
    dict(hidden_channels=[4, 2, 5], kernel_size=[3, 5, 1], hidden_kernel_size=3),
    dict(in_channels=0, hidden_channels=[4, 2], call="steps"),
    *[dict(checkpoint_every=n) for n in (1, 2)],
    dict(checkpoint_every=2, lengths=[5, 2], recurrent_dropout=0.5),
    dict(checkpoint_every=2, norm="layer", recurrent_dropout=0.5),
    *[dict(recurrent_dropout=0.5, train=t) for t in (True, False)],
    dict(dropout=0.5, hidden_channels=[4, 2]),
    dict(stateful=True, state=False, call="twice"),
    dict(call="unroll"),
]
FORECASTERS = [
    dict(kind="EncoderForecaster"),
    dict(kind="EncoderForecaster", read_layers="last", norm="layer"),
    dict(kind="EncoderForecaster", covariates=2, output="identity", residual=True),
    *[dict(kind="NextFrameForecaster", feed=f) for f in (False, True)],
    dict(kind="NextFrameForecaster", covariates=2, recurrent_dropout=0.5),
    dict(kind="LagrangianForecaster"),
    *[dict(kind="PeriodicForecaster", period=3, covariates=n) for n in (0, 2)],
]
FILE = dict(data="weather.nc", context=5, horizon=4, bs=8, hidden="8,6")
TRAININGS = dict(
    quick=dict(preset="quick", bs=60, hidden="8", kernel=3),
    own=dict(FILE, variables="air", covariates="height,hour"),
    rain=dict(FILE, variables="rain", preset="rain"),
)

def load(name):
    return getattr(import_module(MODULES[name]), name)

def random(name, shape):
    """Numbers that depend on the name and the shape alone."""
    draws = np.random.default_rng(crc32(name.encode())).standard_normal(shape)
    return torch.as_tensor(0.3 * draws)

def leaf(name, *shape):
    return random(name, shape).requires_grad_()

def flat(name, value):
    """All tensors in a nest of lists, tuples and dictionaries, with their names."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    parts = dict(enumerate(value)) if isinstance(value, (list, tuple)) else value or {}
    return {n: t for k, v in parts.items() for n, t in flat(f"{name}.{k}", v).items()}

def recorded(named):
    """Parameters or buffers, under the names that they were recorded with."""
    named = dict(named)
    for now, then in RENAMED.items():
        named = {name.replace(now, then): value for name, value in named.items()}
    return named

def summary(name, tensor):
    """Largest value, mean, root mean square, product with noise, the first values."""
    t = tensor.detach().double()
    product = (t * random(f"summary of {name}", t.shape)).mean()
    means = torch.stack([t.abs().max(), t.mean(), t.square().mean().sqrt(), product])
    return torch.cat([means, t.flatten()[:8], t.new_zeros(max(0, 8 - t.numel()))])

def measure(module, run, train=True, **inputs):
    """Run a module forwards and backwards; twelve numbers for each tensor."""
    module.double().train(train)
    weights = recorded(module.named_parameters())
    buffers = recorded(module.named_buffers())
    with torch.no_grad():
        for name, w in weights.items():
            w.copy_(random(name, w.shape))
        for name, b in buffers.items():
            b.copy_(random(name, b.shape).abs())  # variances are among them
    torch.manual_seed(0)  # for dropout, whose draws must come in the same order
    outs = flat("out", run(module, **inputs))
    loss = sum((t * random(f"loss of {n}", t.shape)).sum() for n, t in outs.items())
    leaves = {n: t for n, t in flat("in", inputs).items() if t.requires_grad} | weights
    grads = torch.autograd.grad(loss, [*leaves.values()], materialize_grads=True)
    found = outs | buffers | {f"d_{n}": g for n, g in zip(leaves, grads)}
    return {n: summary(n, t).tolist() for n, t in found.items()}

def cell_case(in_channels=3, state=True, train=True, **options):
    size = SIZES[options.get("spatial_dims", 2)]
    x = leaf("x", 2, in_channels, *size) if in_channels else None
    pair = [leaf(n, 2, 4, *size) for n in "hc"] if state else None
    module = load("ConvLSTMCell")(in_channels, 4, **options)
    return measure(module, lambda m, x, pair: m(x, pair), train, x=x, pair=pair)

def layer_case(in_channels=3, hidden_channels=(4,), state=True, train=True,
               call="whole", lengths=None, **options):
    size = SIZES[options.get("spatial_dims", 2)]
    first = (2, 5) if options.get("batch_first", True) else (5, 2)
    x = leaf("x", *first, in_channels, *size) if in_channels else None
    directions = range(1 + options.get("bidirectional", False))
    cells = [h for h in hidden_channels for _ in directions]
    pairs = [[leaf(n, 2, h, *size) for n in "hc"] for h in cells] if state else None
    runs = dict(
        whole=lambda m, x, pairs: m(x, pairs, lengths=lengths),
        steps=lambda m, x, pairs: m(None, pairs, steps=5, return_all_layers=True),
        twice=lambda m, x, pairs: (m(x[:, :2]), m(x[:, 2:])),
        unroll=lambda m, x, pairs: m.unroll(x[:, 0], 6, keep=[1, 5], state=pairs),
    )
    module = load("ConvLSTM")(in_channels, hidden_channels, **options)
    return measure(module, runs[call], train, x=x, pairs=pairs)

def forecaster_case(kind, feed=False, **options):
    module = load(kind)(2, [4, 3], 3, patch_size=2, **options)
    inputs = dict(x=leaf("x", 2, 4, 2, 13, 12))  # patches do not divide 13
    if options.get("covariates"):
        inputs["covariates"] = leaf("covariates", 2, 7, 2, 13, 12)
    if feed:  # the true frame for one sequence of two, the forecast for the other
        inputs["target"] = leaf("target", 2, 3, 2, 13, 12)
        inputs["feed"] = torch.tensor([True, False])[:, None].expand(2, 5)
    return measure(module, lambda m, **inputs: m(horizon=3, **inputs), **inputs)

def write_weather(path):
    """Write hourly rain that drifts, and air that knows hour, hills and rain."""
    rng = np.random.default_rng(0)
    t, y, x = np.ogrid[:120, :24, :24]
    rain = np.zeros((120, 24, 24))
    for row, column, peak, width in rng.uniform((0, 0, 2, 1), (24, 24, 15, 3), (6, 4)):
        down, right = (y - row - 0.7 * t) % 24 - 12, (x - column - 0.4 * t) % 24 - 12
        rain += peak * np.exp(-(down**2 + right**2) / (2 * width**2))
    height = np.sin(y[0] / 4) * np.cos(x[0] / 5)
    air = 3 * np.sin(t * np.pi / 12 + x / 8) - 2 * height - rain / 5
    data = {n: (("time", "y", "x"), a) for n, a in dict(rain=rain, air=air).items()}
    data["height"] = ("y", "x"), height
    hours = np.datetime64("2020-01-01", "ns") + np.arange(120) * np.timedelta64(1, "h")
    xarray.Dataset(data, coords=dict(time=hours)).to_netcdf(path)

def calls():
    """Names of cases, and what was measured."""
    tables = [(cell_case, CELLS), (layer_case, LAYERS), (forecaster_case, FORECASTERS)]
    for case, table in tables:
        for options in table:
            said = ", ".join(f"{k}={v}" for k, v in options.items())
            yield f"{case.__name__[:-5]}: {said or 'defaults'}", case(**options)

def trainings():
    """Names of runs, and their scores as `{forecast: {score: values}}`."""
    with tempfile.TemporaryDirectory() as folder:
        write_weather(f"{folder}/weather.nc")
        for name, said in TRAININGS.items():
            said = {k: f"{folder}/{v}" if k == "data" else v for k, v in said.items()}
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                load("convlstm_train")(
                    **said, epochs=2, runs=folder, name=name, seed=0, device="cpu")
            yield name, json.loads(Path(folder, name, "metrics.json").read_text())

def compare(name, new, old, bound):
    """Print the row of numbers that differs most; is it within the bound?"""

    def difference(row):
        a, b = (np.array(rows.get(row, []), float) for rows in (new, old))
        if a.shape != b.shape or (np.isnan(a) != np.isnan(b)).any():
            return np.inf
        gap, largest = np.nan_to_num(abs(a - b)).max(), np.nan_to_num(abs(b)).max()
        return gap / max(largest, 1e-300)

    worst = max(old, key=difference)
    found = difference(worst)
    verdict = "ok  " if found <= bound else "OVER"
    print(f"{verdict} {found:7.1e} of {bound:.0e}  {name}  ({worst})", flush=True)
    return found <= bound

def scores(metrics):
    return {f"{f} {s}": row for f, of in metrics.items() for s, row in of.items()}

def write():
    found = dict(calls())
    rows = {name: [*tensors.values()] for name, tensors in found.items()}
    np.savez_compressed(results / "golden.npz", **rows)
    names = {name: " ".join(tensors) for name, tensors in found.items()}
    kept = dict(describe(), tensors=names, trainings=dict(trainings()))
    (results / "golden.json").write_text(json.dumps(kept, indent=1) + "\n")

def check():
    kept = json.loads((results / "golden.json").read_text())
    with np.load(results / "golden.npz") as rows:
        old = {n: dict(zip(t.split(), rows[n])) for n, t in kept["tensors"].items()}
    fine = [compare(n, new, old[n], CALL_BOUND) for n, new in calls()]
    for name, new in trainings():
        old = scores(kept["trainings"][name])
        fine.append(compare(f"training: {name}", scores(new), old, TRAINING_BOUND))
    return all(fine)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Record golden values, or compare.")
    parser.add_argument("--write", action="store_true", help="record them anew")
    sys.exit(write() if parser.parse_args().write else not check())
