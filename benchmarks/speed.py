"""Measure the scan's speed and memory against the textbook form on a CPU.

    python benchmarks/speed.py                # some ten minutes on two idle cores
    python benchmarks/speed.py --base FOLDER  # also a checkout of an older version

All forms are measured in one run, in turns, by medians. A case is
(batch, frames, channels, height, width | hidden, kernel). `benchmarks/gpu.py` measures
on a GPU with the same functions.
"""
import importlib
import importlib.util
import os
import resource
import statistics
import sys
import time
import warnings

os.environ.setdefault("KERAS_BACKEND", "torch")
warnings.filterwarnings("ignore")
from pathlib import Path
import torch
import torch.nn.functional as F
from common import keep
from fastcore.script import bool_arg, call_parse
from torch import nn
from convlstm_nb.layers import ConvLSTM
from convlstm_nb.models.forecaster import EncoderForecaster
from convlstm_nb.scan import scan_form

CASES = dict(
    a=(8, 10, 16, 16, 16, 64, 5),
    b=(16, 10, 64, 16, 16, 64, 5),
    c=(4, 10, 1, 64, 64, 64, 3),
    d=(2, 10, 1, 128, 128, 16, 3),
    e=(1, 20, 8, 32, 32, 32, 3),
)
device = "cuda" if torch.cuda.is_available() else "cpu"  # of other benchmarks

class Textbook(nn.Module):
    """A: one convolution over `[x,h]` a step, no peepholes."""

    def __init__(self, C, h, k):
        super().__init__()
        self.hidden = h
        self.conv = nn.Conv2d(C + h, 4 * h, k, padding=k // 2)

    def start(self, x):
        zero = x.new_zeros(len(x), self.hidden, *x.shape[-2:])
        return zero, zero

    def step(self, x, state):
        h, c = state
        i, f, g, o = self.conv(torch.cat([x, h], 1)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def forward(self, x):
        state, outs = self.start(x[:, 0]), []
        for t in range(x.shape[1]):
            state = self.step(x[:, t], state)
            outs.append(state[0])
        return torch.stack(outs, 1)

def eight_convs(C, h, k):
    """For each gate a convolution of the frame, and one of the state."""

    def four(n, bias):
        convs = (nn.Conv2d(n, h, k, padding=k // 2, bias=bias) for _ in range(4))
        return nn.ModuleList(convs)

    return four(C, True), four(h, False)

class EightConvs(nn.Module):
    """B: a convolution for each gate and input, with peepholes."""

    def __init__(self, C, h, k):
        super().__init__()
        self.hidden = h
        self.x, self.h = eight_convs(C, h, k)
        self.p = nn.ParameterList(torch.zeros(1, h, 1, 1) for _ in range(3))

    def forward(self, x):
        h = c = x.new_zeros(len(x), self.hidden, *x.shape[-2:])
        pi, pf, po = self.p
        outs = []
        for t in range(x.shape[1]):
            i, f, g, o = (a(x[:, t]) + b(h) for a, b in zip(self.x, self.h))
            i, f = torch.sigmoid(i + pi * c), torch.sigmoid(f + pf * c)
            c = f * c + i * torch.tanh(g)
            h = torch.sigmoid(o + po * c) * torch.tanh(c)
            outs.append(h)
        return torch.stack(outs, 1)

class TextbookForecaster(nn.Module):
    """The paper's three layers, each cell as in A, a 1x1 convolution of all states."""

    def __init__(self, hidden=(128, 64, 64), k=5):
        super().__init__()

        def cells(read):
            sizes = zip([read, *hidden], hidden)
            return nn.ModuleList(Textbook(a, b, k) for a, b in sizes)

        self.enc, self.dec = cells(16), cells(0)
        self.out = nn.Conv2d(sum(hidden), 16, 1)

    def advance(self, cells, h, states):
        for l, cell in enumerate(cells):
            states[l] = cell.step(h, states[l])
            h = states[l][0]

    def forward(self, x):
        x = F.pixel_unshuffle(x, 4)
        states = [cell.start(x[:, 0]) for cell in self.enc]
        for t in range(x.shape[1]):
            self.advance(self.enc, x[:, t], states)
        outs = []
        for _ in range(10):
            self.advance(self.dec, x[:, 0, :0], states)
            outs.append(self.out(torch.cat([h for h, _ in states], 1)))
        return F.pixel_shuffle(torch.stack(outs, 1), 4)

def bare(x, h, k, dtype=torch.float32):
    """The floor: the three convolutions of each step, channels last, nothing else."""
    B, T, C, H, W = x.shape
    p = k // 2

    def draw(*shape):
        t = torch.randn(*shape, device=x.device, dtype=dtype)
        return t.contiguous(memory_format=torch.channels_last)

    xh, dz = draw(B, C + h, H, W), draw(B, 4 * h, H, W)
    w, back = draw(4 * h, C + h, k, k), draw(h, 4 * h, k, k)
    options = [1, 1], [p, p], [1, 1], False, [0, 0], 1
    of_weight = [False, True, False]

    def run():
        for _ in range(T):
            F.conv2d(xh, w, padding=p)
            F.conv2d(dz, back, padding=p)
            torch.ops.aten.convolution_backward(dz, xh, w, None, *options, of_weight)

    return run

def load_layer(path, name="convlstm_base"):
    """Import `ConvLSTM` from another checkout, under another name.

    Both register the same operators for `torch.compile`, and the last to do so wins:
    compile no layer in a process that has called this.
    """
    folder = Path(path).resolve() / "convlstm_nb"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return importlib.import_module(f"{name}.layers").ConvLSTM

def on_gpu():
    """Has this process used a GPU?"""
    return torch.cuda.is_initialized()

def sync():
    if on_gpu():
        torch.cuda.synchronize()

def in_turns(forms, rounds, clock=time.perf_counter, warm_up=2):
    """Median milliseconds of each form, measured in turns."""
    times = {k: [] for k in forms}
    for f in forms.values():
        for _ in range(warm_up):
            f()
    for _ in range(rounds):
        for k, f in forms.items():
            sync()
            t = clock()
            f()
            sync()
            times[k].append(1e3 * (clock() - t))
    return {k: round(statistics.median(v), 3) for k, v in times.items()}

def peak(f):
    """Largest sum of tensors that `f` holds at a time, in MiB, beyond those before."""
    f()
    if on_gpu():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        f()
        return round((torch.cuda.max_memory_allocated() - before) / 2**20, 2)
    with torch.profiler.profile(profile_memory=True) as p:
        f()
    events = (e for e in p.profiler.kineto_results.events() if e.name() == "[memory]")
    now = most = 0
    for e in sorted(events, key=lambda e: e.start_ns()):
        now += e.nbytes()
        most = max(most, now)
    return round(most / 2**20, 2)

def first(y):
    return y[0] if isinstance(y, tuple) else y

def cast_to_bf16(x, cast):
    return torch.autocast(x.device.type, torch.bfloat16, enabled=cast)

def step(model, x, cast=False):
    """A training step of a layer: forward, and backward from a given gradient."""
    with torch.no_grad(), cast_to_bf16(x, cast):
        grad = torch.randn_like(first(model(x)))

    def run():
        for p in model.parameters():
            p.grad = None
        with cast_to_bf16(x, cast):
            y = first(model(x))
        y.backward(grad)

    return run

def infer(model, x, cast=False):
    """A forward pass without gradients."""

    def run():
        with torch.no_grad(), cast_to_bf16(x, cast):
            model(x)

    return run

def stream(model, x, cast=False):
    """Ten times one frame of one sequence, from a state."""
    frame = x[:1, :1]
    if isinstance(model, Textbook):
        state = model.start(frame[:, 0])
        call = lambda: model.step(frame[:, 0], state)
    else:
        with torch.no_grad():
            state = model(frame)[1]
        call = lambda: model(frame, state)

    def run():
        with torch.no_grad(), cast_to_bf16(x, cast):
            for _ in range(10):
                call()

    return run

def formed(form, f):
    """`f` with this form of the scan."""

    def run():
        with scan_form(form):
            f()

    return run

def eager(f):
    return formed("eager", f)

def compiled(f):
    return formed("compiled", f)

def keras_layer(C, h, k, x):
    """Keras' ConvLSTM2D on torch, or None where Keras is absent."""
    try:
        import keras
    except ImportError:
        return None
    layer = keras.layers.ConvLSTM2D(
        h, k, padding="same", return_sequences=True, data_format="channels_first")
    layer.build(tuple(x.shape))
    return layer

def one_case(case, rounds, with_compiled_a, base):
    """Milliseconds of a training step, of inference and of a stream."""
    *shape, h, k = case
    C = shape[2]
    torch.manual_seed(0)
    x = torch.randn(*shape)
    A, B = Textbook(C, h, k), EightConvs(C, h, k)
    plain, peep = (ConvLSTM(C, h, k, peephole=p) for p in (None, "channel"))
    norm = ConvLSTM(C, h, k, peephole=None, norm="layer")
    every_1, every_2 = (
        ConvLSTM(C, h, k, peephole=None, checkpoint_every=n) for n in (1, 2))
    forms = dict(
        floor=bare(x, h, k),
        A=step(A, x),
        B=step(B, x),
        loop=formed("loop", step(plain, x)),
        eager=eager(step(plain, x)),
        compiled=compiled(step(plain, x)),
        peepholes=compiled(step(peep, x)),
        norm_eager=eager(step(norm, x)),
        norm_compiled=compiled(step(norm, x)),
        recomputed=compiled(step(every_1, x)),
        chunks=compiled(step(every_2, x)),
        A_bf16=step(A, x, True),
        eager_bf16=eager(step(plain, x, True)),
        compiled_bf16=compiled(step(plain, x, True)),
    )
    if with_compiled_a:
        forms["A_compiled"] = step(torch.compile(A), x)
    if (keras := keras_layer(C, h, k, x)) is not None:
        forms["keras"] = step(keras, x)
    if base:
        forms["base"] = step(base(C, h, k, peephole=None), x)

    def without_gradients(how):
        ours = how(plain, x)
        return dict(A=how(A, x), eager=eager(ours), compiled=compiled(ours))

    return dict(
        train_ms=in_turns(forms, rounds),
        infer_ms=in_turns(without_gradients(infer), rounds),
        stream_10_frames_ms=in_turns(without_gradients(stream), 3 * rounds),
    )

def memory(case):
    """Peak memory of a training step, in MiB."""
    *shape, h, k = case
    C = shape[2]
    x, A = torch.randn(*shape), Textbook(C, h, k)
    plain, every_1, every_2 = (
        ConvLSTM(C, h, k, peephole=None, checkpoint_every=n) for n in (None, 1, 2))
    forms = dict(
        A=step(A, x),
        eager=eager(step(plain, x)),
        compiled=compiled(step(plain, x)),
        recomputed=compiled(step(every_1, x)),
        chunks=compiled(step(every_2, x)),
        A_bf16=step(A, x, True),
        compiled_bf16=compiled(step(plain, x, True)),
    )
    return {n: peak(f) for n, f in forms.items()}

def paper_case(rounds):
    """Milliseconds of the paper's encoder-forecaster."""
    x = torch.randn(8, 10, 1, 64, 64)
    A = TextbookForecaster()
    plain, peep = EncoderForecaster(1, peephole=None), EncoderForecaster(1)
    forms = dict(
        A=step(A, x),
        eager=eager(step(plain, x)),
        compiled=compiled(step(plain, x)),
        peepholes=compiled(step(peep, x)),
        A_bf16=step(A, x, True),
        compiled_bf16=compiled(step(plain, x, True)),
    )
    infers = dict(
        A=infer(A, x), eager=eager(infer(plain, x)), compiled=compiled(infer(plain, x)))
    return dict(train_ms=in_turns(forms, rounds), infer_ms=in_turns(infers, rounds))

def growth(rounds):
    """Time and memory against the number of frames."""
    rows = []
    for T in (10, 20, 40, 80):
        x = torch.randn(1, T, 8, 32, 32)
        every = max(1, round((T / 5) ** 0.5))
        whole, chunks = (
            ConvLSTM(8, 32, 3, peephole=None, checkpoint_every=n)
            for n in (None, every))
        forms = dict(eager=eager(step(whole, x)), chunks=eager(step(chunks, x)))
        # The outputs in MiB, 32 channels for 8; their gradients are there before
        outputs = x.numel() * 4 * 4 / 2**20
        ms = in_turns(forms, rounds)
        most = {n: peak(f) for n, f in forms.items()}
        rows.append(dict(T=T, every=every, ms=ms, outputs_mib=outputs, peak_mib=most))
    return rows

def resident():
    """Resident memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 2**20, 2)

def long_stream(frames=10_000):
    """Resident memory after the first and the last tenth of a long stream, in MiB."""
    layer, x = ConvLSTM(1, 8), torch.randn(1, 1, 1, 16, 16)
    state, marks = None, []
    with torch.no_grad():
        for t in range(frames):
            _, state = layer(x, state)
            if t in (frames // 10, frames - 1):
                marks.append(resident())
    return dict(frames=frames, mib=marks)

CONVOLUTIONS = "aten::mkldnn_convolution", "aten::convolution_backward"

def split_time(f):
    """Milliseconds of a training step in convolutions and in all else."""
    with torch.profiler.profile() as p:
        f()
    rows = p.key_averages()
    convs = sum(e.self_cpu_time_total for e in rows if e.key in CONVOLUTIONS)
    total = sum(e.self_cpu_time_total for e in rows)
    return convs / 1e3, (total - convs) / 1e3

def splits(rounds):
    """Where the time of a training step goes, in turns, medians, case c."""
    *shape, h, k = CASES["c"]
    x = torch.randn(*shape)
    layer = ConvLSTM(shape[2], h, k, peephole=None)
    forms = dict(
        A=step(Textbook(shape[2], h, k), x),
        eager=eager(step(layer, x)),
        compiled=compiled(step(layer, x)),
    )
    found = {n: [] for n in forms}
    for f in forms.values():
        f()
        f()
    for _ in range(rounds):
        for n, f in forms.items():
            found[n].append(split_time(f))
    medians = {n: map(statistics.median, zip(*times)) for n, times in found.items()}
    return {
        n: dict(convolutions=round(convs, 1), rest=round(rest, 1))
        for n, (convs, rest) in medians.items()
    }

def report(name, found):
    ms = found["train_ms"]
    for form, t in ms.items():
        ratios = f"{t / ms['floor']:5.2f} x floor  {ms['A'] / t:5.2f} x A"
        print(f"{name} {form:14} {t:8.1f} ms  {ratios}")
    print(name, found["infer_ms"], found["stream_10_frames_ms"], flush=True)

@call_parse
def main(
    rounds:int=5,  # Measurements of each form
    cases:str="abcde",  # Which cases; an empty text for none
    times:bool_arg=True,  # Also where the time goes and how it grows?
    compiled_a:bool_arg=True,  # Also A under torch.compile, which takes long?
    base:str=None,  # Checkout of an older version, to be measured as well
):
    """Measure the scan on a CPU and keep the figures in results/speed*.json."""
    base = base and load_layer(base)
    found = {}
    for n in cases:
        times_of = one_case(CASES[n], rounds, compiled_a, base)
        found[n] = dict(case=CASES[n], **times_of)
        report(n, found[n])
    if cases:
        paper = paper_case(max(rounds - 2, 1))
        keep("speed", rounds=rounds, cases=found, paper=paper)
    peaks = {n: dict(case=case, peak_mib=memory(case)) for n, case in CASES.items()}
    keep("speed_memory", cases=peaks)
    if times:
        split, rows, long = splits(rounds), growth(rounds), long_stream()
        keep("speed_growth", rounds=rounds, split=split, growth=rows, stream=long)
