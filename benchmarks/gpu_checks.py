"""Check values and gradients of every option against the loop, for `gpu.py`."""
import copy
import itertools
import math
import os
from contextlib import nullcontext
import torch
from torch import nn
from convlstm_nb.cell import ConvLSTMCell
from convlstm_nb.layers import ConvLSTM
from convlstm_nb.scan import loop_reason, scan, scan_form

BOUNDS = dict(
    float64=1e-9,  # of the largest value of each tensor
    float32=2e-5,  # likewise, with TF32 off
    tf32=5e-3,  # norm of the difference over that of each tensor
    bf16=3e-2,  # likewise, under autocast
    again=0.0,  # between two runs
)

def value_options():
    """Options of the scans and layers whose values and gradients are compared."""
    norms = None, "layer", "group", "batch"
    peepholes = None, "channel", "full"
    grid = itertools.product(enumerate(peepholes), enumerate(norms), (0, 1))
    for (p, peephole), (n, norm), lengths in grid:
        gates = dict(peephole=peephole, norm=norm, lengths=bool(lengths))
        yield gates
        reverse, every = bool((p + n + lengths) % 2), (None, 1, 2)[(p + n) % 3]
        yield dict(gates, drop=True, reverse=reverse, checkpoint_every=every)
    for mode in ("reflect", "replicate", "circular"):
        yield dict(padding_mode=mode, norm="layer")
        yield dict(padding_mode=mode, kernel_size=5, hidden_kernel_size=3)
        yield dict(padding_mode=mode, size=(7,), checkpoint_every=2)
    yield dict(padding_mode="circular", kernel_size=4, hidden_kernel_size=3)
    yield dict(padding_mode="replicate", size=(4, 3, 3))
    yield dict(kernel_size=4, hidden_kernel_size=3)
    yield dict(kernel_size=3, hidden_kernel_size=5, checkpoint_every=2)
    yield dict(kernel_size=(3, 5))
    yield dict(kernel_size=1, peephole="full")
    yield dict(dilation=2)
    yield dict(dilation=(1, 2), padding_mode="reflect")
    yield dict(size=(7,), norm="group", lengths=True)
    yield dict(size=(4, 3, 3), norm="layer", drop=True)
    yield dict(size=(4, 3, 3), kernel_size=(1, 3, 3), peephole="full")
    yield dict(bias=False)
    yield dict(bias=False, norm="layer", peephole=None)
    yield dict(in_channels=0)
    yield dict(in_channels=0, norm="layer", checkpoint_every=2, drop=True)
    yield dict(in_channels=16, hidden=5)
    yield dict(frames=1, batch=1)
    yield dict(frames=33, checkpoint_every=4, lengths=True)
    yield dict(size=(1, 1))
    yield dict(size=(1, 1), norm="layer", lengths=True, drop=True)
    for hidden, norm in ((5, "group"), (64, "layer"), (130, "group")):
        yield dict(hidden=hidden, norm=norm, size=(33, 17), frames=3)
        yield dict(hidden=hidden, peephole="full", lengths=True, drop=True)
    yield dict(hidden=64, batch=64, frames=2, size=(33, 17))  # more rows than programs
    yield dict(hidden=130, batch=16, frames=2, size=(33, 17), norm="layer")
    for more in (
        dict(hidden=[4, 2]),
        dict(hidden=[4, 2], bidirectional=True, lengths=True),
        dict(bidirectional=True, norm="layer", checkpoint_every=2),
        dict(hidden=[4, 2], kernel_size=[5, 3], peephole=[None, "channel"]),
        dict(in_channels=0, hidden=[4, 2]),
        dict(stateful=True),
        dict(batch_first=False, lengths=True),
    ):
        yield dict(layer=True, **more)
    for more in (dict(), dict(norm="layer"), dict(hidden=[4, 2]), dict(in_channels=0)):
        yield dict(layer=True, split=2, **more)  # from the state that a call returned

class OneScan(nn.Module):
    """A cell and how to run it, as a module."""

    def __init__(self, cell, **call):
        super().__init__()
        self.cell, self.call = cell, call

    def reason(self, x, h, c, **tensors):
        return loop_reason(self.cell, x, (h, c))

    def forward(self, x, h, c, **tensors):
        out, last = scan(self.cell, x, (h, c), **self.call, **tensors)
        return out, *last

class OneLayer(nn.Module):
    """A layer and how to call it, as a module."""

    def __init__(self, layer, steps, split=None, **call):
        super().__init__()
        self.layer, self.steps, self.split, self.call = layer, steps, split, call

    def reason(self, x, **states):
        return loop_reason(self.layer.cells[0], x, [*states.values()])

    def parts(self, x):
        """What to call the layer with: once, or twice where `split` is given."""
        ends = [0, self.split, self.steps] if self.split else [0, self.steps]
        for start, end in itertools.pairwise(ends):
            if x is None:
                yield None, dict(steps=end - start)
            elif self.split:
                yield x[:, start:end], {}
            else:
                yield x, self.call

    def forward(self, x, **states):
        flat = [*states.values()]
        state = [*zip(flat[::2], flat[1::2])]
        outs = []
        if self.layer.stateful:
            self.layer.reset()
        for frames, call in self.parts(x):
            out, state = self.layer(frames, state, **call)
            outs.append(out)
        if self.layer.stateful:  # once more, from what was carried
            out, state = self.layer(x)
            outs.append(out)
        return *outs, *itertools.chain(*state)

@torch.no_grad()
def draw_parameters(module):
    """Move what starts at 0 or 1 elsewhere, so that every parameter matters."""
    for name, p in module.named_parameters():
        if "weight_ih" not in name and "weight_hh" not in name:
            p += 0.2 * torch.randn_like(p)

def make_scan(in_channels=3, hidden=4, size=(5, 4), batch=2, frames=5, lengths=False,
              drop=False, reverse=False, checkpoint_every=None, **options):
    """A scan as a module, and its inputs, in float32 on the CPU."""
    if options.get("peephole") == "full":
        options["spatial_size"] = size
    cell = ConvLSTMCell(in_channels, hidden, spatial_dims=len(size), **options)
    state = batch, hidden, *size
    x = torch.randn(batch, frames, in_channels, *size) if in_channels else None
    inputs = dict(x=x, h=torch.randn(state), c=torch.randn(state))
    if lengths:
        ends = torch.arange(1, batch + 1) * frames // batch
        inputs["valid"] = torch.arange(frames) < ends[:, None].clamp(min=1)
    if drop:
        for name in ("drop_h", "drop_c"):
            factor = 2.0 * (torch.rand(batch, hidden) < 0.5)
            inputs[name] = factor.reshape(batch, hidden, *[1] * len(size))
    call = dict(reverse=reverse, checkpoint_every=checkpoint_every)
    if not in_channels:
        call["steps"] = frames
    return OneScan(cell, **call), inputs

def make_layer(in_channels=3, hidden=4, size=(5, 4), batch=2, frames=5, lengths=False,
               split=None, **options):
    """A layer as a module, and its inputs, in float32 on the CPU."""
    layer = ConvLSTM(in_channels, hidden, spatial_dims=len(size), **options)
    channels = [n for n in layer.hidden_channels for _ in range(layer.directions)]
    axes = (batch, frames) if layer.batch_first else (frames, batch)
    x = torch.randn(*axes, in_channels, *size) if in_channels else None
    states = {
        f"{name}{k}": torch.randn(batch, n, *size)
        for k, n in enumerate(channels) for name in "hc"}
    call = dict(lengths=[frames] + [2] * (batch - 1)) if lengths else {}
    return OneLayer(layer, frames, split, **call), dict(x=x, **states)

def make(options):
    """The module and the inputs that a configuration names."""
    torch.manual_seed(0)
    options = dict(options)
    made = make_layer if options.pop("layer", False) else make_scan
    module, inputs = made(**options)
    draw_parameters(module)
    return module, inputs

def put(made, device, dtype):
    """A copy on another device, in another type."""
    module, inputs = made

    def move(t):
        return t.to(device, dtype if t.is_floating_point() else None)

    moved = {k: None if t is None else move(t) for k, t in inputs.items()}
    return copy.deepcopy(module).to(device, dtype), moved

def leaves(module, inputs):
    """What gets gradients, by name: parameters, and inputs but factors of dropout."""
    given = {
        k: t.requires_grad_() for k, t in inputs.items()
        if t is not None and t.is_floating_point() and not k.startswith("drop")}
    return given | dict(module.named_parameters())

def outputs(made, cast=False):
    """All outputs of a module."""
    module, inputs = made
    device = next(module.parameters()).device.type
    with torch.autocast(device, torch.bfloat16, enabled=cast):
        return module(**inputs)

def gradients(outs, wanted, **options):
    """Gradients of random sums of the outputs."""
    draws = torch.Generator().manual_seed(1)
    given = [torch.randn(o.shape, generator=draws).to(o) for o in outs]
    return torch.autograd.grad(outs, wanted, given, materialize_grads=True, **options)

def named(outs):
    return {f"output {k}": o.detach() for k, o in enumerate(outs)}

def outcome(made, cast=False):
    """All outputs and gradients of a module, by name."""
    wanted = leaves(*made)
    outs = outputs(made, cast)
    got = gradients(outs, [*wanted.values()])
    return named(outs) | {f"gradient of {n}": g for n, g in zip(wanted, got)}

def second_order(made):
    """Gradients of the sum of squares of all gradients, by name."""
    wanted = leaves(*made)
    got = gradients(outputs(made), [*wanted.values()], create_graph=True)
    total = sum(g.square().sum() for g in got)
    more = torch.autograd.grad(total, [*wanted.values()], materialize_grads=True)
    return {f"second gradient of {n}": g for n, g in zip(wanted, more)}

def by_largest(a, b):
    """Largest difference over the largest value."""
    return (a - b).abs().max() / b.abs().max().clamp(min=1e-30)

def by_norm(a, b):
    """Norm of the difference over the norm."""
    return (a - b).norm() / b.norm().clamp(min=1e-30)

def figure(found, right, name):
    """How far tensors are from what is right, the worst of them, and the bound.

    In low precision it is the root mean square over all tensors: a gradient of a few
    values may be further off by bad luck.
    """
    low = name in ("tf32", "bf16")
    measure, far = by_norm if low else by_largest, {}
    for tensor, a in found.items():
        b = right[tensor]
        assert a.shape == b.shape, f"{tensor}: shape {a.shape} for {b.shape}"
        value = measure(a.cpu().double(), b.cpu().double()).item()
        far[tensor] = math.inf if math.isnan(value) else value
    worst = max(far, key=far.get)
    mean_square = sum(v * v for v in far.values()) / len(far)
    value = math.sqrt(mean_square) if low else far[worst]
    return dict(value=value, tensor=worst, bound=BOUNDS[name])

def form_to_check():
    """Triton's where it is interpreted, or else the form that is chosen."""
    return scan_form("triton") if os.environ.get("TRITON_INTERPRET") else nullcontext()

def by_loop(made, what=outcome):
    """What the loop computes in float64 on the CPU."""
    with scan_form("loop"):
        return what(put(made, "cpu", torch.float64))

def use_tf32(on):
    torch.backends.cudnn.allow_tf32 = on

def fast(made, device, dtype):
    """A copy for the form to check, which must not be the loop."""
    module, inputs = put(made, device, dtype)
    reason = module.reason(**inputs)
    assert not reason, f"the loop is taken: {reason}"
    return module, inputs

def values(options, device):
    """Compare values and gradients in each precision."""
    made = make(options)
    right, found = by_loop(made), {}
    with form_to_check():
        use_tf32(False)
        double, single = (fast(made, device, d) for d in (torch.float64, torch.float32))
        found["float64"] = figure(outcome(double), right, "float64")
        found["float32"] = figure(outcome(single), right, "float32")
        use_tf32(True)
        if torch.device(device).type == "cuda":
            found["tf32"] = figure(outcome(single), right, "tf32")
        found["bf16"] = figure(outcome(single, cast=True), right, "bf16")
    return found

def compiled_layer(options, device, name="float32"):
    """Compare a layer under `torch.compile` with the loop."""
    made, cast = make(dict(options, layer=True)), name == "bf16"
    right = by_loop(made)
    use_tf32(False)
    single = fast(made, device, torch.float32)
    single[0].layer.compile(fullgraph=True)
    return {name: figure(outcome(single, cast), right, name)}

def compiled_in_bf16(options, device):
    """The same under autocast."""
    return compiled_layer(options, device, "bf16")

def inference(options, device):
    """Compare two calls in inference mode, and a training step after them."""
    made = make(options)
    right = by_loop(made)
    use_tf32(False)
    with form_to_check():
        on_device = fast(made, device, torch.float32)
        with torch.inference_mode():
            first, second = (named(outputs(on_device)) for _ in range(2))
        found = dict(first=first, second=second, after=outcome(on_device))
    return {name: figure(those, right, "float32") for name, those in found.items()}

def create_graph(options, device):
    """Compare gradients of gradients."""
    made = make(options)
    right = by_loop(made, second_order)
    with form_to_check():
        found = second_order(fast(made, device, torch.float64))
    return dict(float64=figure(found, right, "float64"))

def repeated(options, device):
    """Compare two runs bit by bit, with uninitialised memory full of NaN."""
    made = make(options)
    right = by_loop(made)
    use_tf32(False)
    torch.use_deterministic_algorithms(True)
    try:
        with form_to_check():
            first, second = (
                outcome(fast(made, device, torch.float32)) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    found = dict(float32=figure(first, right, "float32"))
    return found | dict(again=figure(second, first, "again"))

LAYERS = [  # under torch.compile
    dict(norm="layer"),
    dict(hidden=[4, 2], bidirectional=True, lengths=True),
    dict(checkpoint_every=2, padding_mode="circular"),
    dict(in_channels=0, peephole=None),
]
SCANS = [  # for the other checks
    dict(norm="layer", peephole="full", lengths=True, drop=True),
    dict(),
    dict(norm="group", peephole=None, checkpoint_every=2, in_channels=0),
    dict(padding_mode="circular", kernel_size=5, reverse=True, hidden=64),
]
OTHERS = inference, create_graph, repeated

def all_checks():
    """Pairs of a check and its options; those that take long to compile come first."""
    listed = [(compiled_layer, o) for o in LAYERS]
    listed += [(compiled_in_bf16, o) for o in LAYERS[:2]]
    listed += [(values, o) for o in value_options()]
    return listed + [(check, o) for check in OTHERS for o in SCANS]

def few_checks(every=6):
    """A sample of small ones."""
    small = [o for o in value_options() if max(o.get("size", (0,))) < 33]
    listed = [(values, o) for o in small[::every]]
    return listed + [(check, SCANS[0]) for check in OTHERS]
