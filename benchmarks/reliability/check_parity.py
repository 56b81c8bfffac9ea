"What PyTorch tests of `nn.LSTM` holds for `ConvLSTM`, each line tried on both where both can do it."
import copy
import io
import pickle
import threading
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from convlstm_nb.layers import ConvLSTM

def row(what, wanted, got, passed): return dict(what=what, wanted=wanted, got=got, passed=bool(passed))

VARIANTS = {'plain':          dict(),
            'two layers':     dict(hidden_channels=[4,3]),
            'bidirectional':  dict(hidden_channels=[4,3], bidirectional=True),
            'full peepholes': dict(peephole='full', spatial_size=(6,5)),
            'layer norm':     dict(norm='layer'),
            'group norm':     dict(norm='group'),
            'batch norm':     dict(norm='batch'),
            'circular, even kernel': dict(kernel_size=4, hidden_kernel_size=3, padding_mode='circular'),
            'no bias, no peephole':  dict(bias=False, peephole=None),
            'dilated':        dict(dilation=2)}

def make(name='two layers', **more): return ConvLSTM(2, **{'hidden_channels':4, **VARIANTS[name], **more}).eval()

def frames(B=3, T=4, **kw): return torch.randn(B, T, 2, 6, 5, **kw)

def flat(result): return [result[0], *(s for pair in result[1] for s in pair)]

def equal(a, b): return all(torch.equal(x, y) for x,y in zip(flat(a), flat(b), strict=True))

def number(t): return t.nan_to_num(torch.inf).item() # `max` would overlook a NaN

def far(a, b): return max(number((x-y).abs().max()) if x.numel() else 0. for x,y in zip(a, b, strict=True))

def far_of_largest(a, b): return max(number((x-y).abs().max()/y.abs().max().clamp(min=1)) for x,y in zip(a, b, strict=True))

def grads(m, x, **kw):
    out,state = m(x, **kw)
    return torch.autograd.grad(out.square().sum() + sum(c.sum() for _,c in state), [x,*m.parameters()] if x.requires_grad else list(m.parameters()))

def each(what, wanted, check, names=VARIANTS):
    "One line: `check(name)` is a difference, which must be 0 or within the bound that comes with it, for every variant"
    worst,bad = 0.,[]
    for name in names:
        try: found = check(name)
        except Exception as e: bad.append(f'{name}: {type(e).__name__}: {str(e).strip().splitlines()[0][:160]}'); continue
        d,bound = found if isinstance(found, tuple) else (float(not found) if isinstance(found, bool) else found, 0.)
        worst = max(worst, d)
        if not d <= bound: bad.append(f'{name}: {d:.1e}')
    return row(f'{what} ({len(names)} variants)' if len(names)>1 else what, wanted, '; '.join(bad) or ('equal' if worst==0 else f'within {worst:.0e}'), not bad)

# --- making, moving, saving -------------------------------------------------------------------------------------------
def factory(name):
    for dt in (torch.float64, torch.bfloat16, torch.float16, torch.float32):
        m = make(name, device='cpu', dtype=dt)
        if {p.dtype for p in m.parameters()} != {dt}: return False
    m = make(name, device='meta', dtype=torch.float64)
    out,_ = m(frames(device='meta', dtype=torch.float64))
    return {(p.device.type,p.dtype) for p in m.parameters()}=={('meta',torch.float64)} and (out.device.type,out.dtype)==('meta',torch.float64)

def default_dtype(name):
    try: torch.set_default_dtype(torch.float64); m = make(name); return {p.dtype for p in m.parameters()}=={torch.float64} and m(frames())[0].dtype==torch.float64
    finally: torch.set_default_dtype(torch.float32)

def moves(name):
    m,x = make(name),frames()
    ref = m(x)
    twin = copy.deepcopy(m).double().float()
    shell = copy.deepcopy(m).to('meta').to_empty(device='cpu')
    shell.load_state_dict(m.state_dict())
    with torch.device('meta'): assigned = make(name)
    assigned.load_state_dict(m.state_dict(), assign=True)
    return equal(twin(x), ref) and equal(shell(x), ref) and equal(assigned.eval()(x), ref) and copy.deepcopy(m).to(torch.float64)(x.double())[0].dtype==torch.float64

def round_trip(name):
    m,x = make(name),frames()
    buf = io.BytesIO(); torch.save(m.state_dict(), buf); buf.seek(0)
    twin = make(name)
    missing = twin.load_state_dict(torch.load(buf, weights_only=True), strict=True)
    return equal(twin(x), m(x)) and not missing.missing_keys and not missing.unexpected_keys

def strict(name):
    "A key too many, one missing and one of another shape are each refused"
    m,refused = make(name),0
    sd = m.state_dict()
    first = next(iter(sd))
    for bad in (sd | {'extra': torch.zeros(1)}, {k:v for k,v in sd.items() if k != first}, sd | {first: torch.zeros(1)}):
        try: make(name).load_state_dict(bad)
        except RuntimeError: refused += 1
    return refused==3

def copies(name):
    m,x = make(name),frames()
    return all(equal(t(x), m(x)) for t in (copy.deepcopy(m), copy.copy(m), pickle.loads(pickle.dumps(m))))

def live_copies(name):
    "A stateful layer that carries a state goes on from it in its copies, and each for itself"
    m,x = make(name, stateful=True),frames()
    m(x)
    twins = [copy.deepcopy(m), pickle.loads(pickle.dumps(m))]
    ref = m(x)
    return all(equal(t(x), ref) for t in twins) and set(m.state_dict())==set(make(name).state_dict())

# --- what comes in ----------------------------------------------------------------------------------------------------
def strides(name):
    m,x = make(name),frames()
    last = x.permute(0,1,3,4,2).contiguous().permute(0,1,4,2,3)
    apart = torch.randn(3,8,2,6,10)[:,::2,:,:,::2].copy_(x)
    turned = x.transpose(0,1).contiguous().transpose(0,1)
    base = torch.zeros(3,1,2,6,5).expand(3,4,2,6,5)
    ref,g = m(x),grads(m, x.clone().requires_grad_())
    back = grads(m, last.detach().requires_grad_())
    kept = flat(m(base)); same = flat(m(base.contiguous()))
    return max(*(far(flat(m(v)), flat(ref)) for v in (last, apart, turned)), far(kept, same), far_of_largest(back, g)/5), 2e-6

def channels_last(name):
    m,x = make(name),frames()
    return far(flat(copy.deepcopy(m).to(memory_format=torch.channels_last)(x)), flat(m(x))), 2e-6

def state_strides(name):
    m,x = make(name),frames()
    _,s = m(x)
    odd = [tuple(t.permute(0,2,3,1).contiguous().permute(0,3,1,2) for t in pair) for pair in s]
    return far(flat(m(x, odd)), flat(m(x, s))), 2e-6

def batches(name):
    m,x = make(name),frames()
    ref = m(x)
    alone = [m(x[b:b+1]) for b in range(3)]
    none = m(x[:0].requires_grad_())
    none[0].sum().backward()
    shapes = none[0].shape==(0,*ref[0].shape[1:]) and all(p.grad is not None and not p.grad.any() for p in m.parameters())
    return (far(flat(ref), [torch.cat(ts) for ts in zip(*map(flat, alone))]) if shapes else 1.), 2e-6

def one_frame(name):
    m,x = make(name),frames(T=1)
    out,state = m(x)
    return out.shape[1]==1 and (m.bidirectional or torch.equal(out[:,0], state[-1][0]))

def no_frame(name):
    try: make(name)(frames(T=0))
    except ValueError as e: return 'none of length 0' in str(e)
    return False

def time_first(name):
    m,x = make(name),frames()
    t = make(name, batch_first=False); t.load_state_dict(m.state_dict())
    a,b = m(x),t(x.transpose(0,1))
    return equal((a[0].transpose(0,1), a[1]), b)

def untouched(name):
    "Neither frames nor a given state nor weights are written to"
    m,x = make(name),frames()
    with torch.no_grad(): _,s = m(x)
    given,weights = flat((x,s)),list(m.parameters())
    before,versions = [t.clone() for t in given],[p._version for p in weights]
    m(x, s)
    return all(map(torch.equal, before, given)) and versions==[p._version for p in weights]

def like_lstm():
    "On one pixel: shapes, values, last states and gradients of `nn.LSTM`, for every pair of options"
    worst = 0.
    for layers in (1,2,3):
        for bi in (False,True):
            for bf in (False,True):
                for bias in (False,True):
                    ref = nn.LSTM(3, 5, layers, bias=bias, batch_first=bf, bidirectional=bi, dtype=torch.float64)
                    m = ConvLSTM(3, 5, 1, layers, peephole=None, bias=bias, batch_first=bf, bidirectional=bi, dtype=torch.float64)
                    with torch.no_grad():
                        for i,cell in enumerate(c for l in range(layers) for c in m.at(l)):
                            t = f'l{i//m.directions}' + '_reverse'*(i%m.directions)
                            cell.weight_ih.copy_(getattr(ref, f'weight_ih_{t}')[...,None,None]); cell.weight_hh.copy_(getattr(ref, f'weight_hh_{t}')[...,None,None])
                            if bias: cell.bias.copy_(getattr(ref, f'bias_ih_{t}') + getattr(ref, f'bias_hh_{t}'))
                    x = torch.randn(4,6,3, dtype=torch.float64, requires_grad=True)
                    y = x.detach()[...,None,None].requires_grad_()
                    (a,(h,c)),(b,s) = ref(x),m(y)
                    worst = max(worst, far([a,*h,*c], [b[...,0,0],*(p[0][...,0,0] for p in s),*(p[1][...,0,0] for p in s)]))
                    ga,gb = torch.autograd.grad(a.square().sum()+c.sum(), x),torch.autograd.grad(b.square().sum()+sum(p[1].sum() for p in s), y)
                    worst = max(worst, far(ga, [gb[0][...,0,0]]))
    return worst,1e-10

# --- transformations --------------------------------------------------------------------------------------------------
def compiled(backend):
    def check(name):
        torch._dynamo.reset()
        m,x = make(name),frames().requires_grad_()
        c = torch.compile(m, backend=backend, fullgraph=True)
        return max(far(flat(c(x)), flat(m(x))), far(grads(c, x), grads(m, x))/10, far(flat(c(x, lengths=torch.tensor([4,2,1]))), flat(m(x, lengths=[4,2,1])))), 5e-6
    return check

def inductor(name):
    m,x = make(name),frames(T=2).requires_grad_()
    c = torch.compile(m, fullgraph=True)
    return max(far(flat(c(x)), flat(m(x))), far(grads(c, x), grads(m, x))/10), 5e-6

def exported(name):
    m,x = make(name),frames()
    program = torch.export.export(m, (x,), dynamic_shapes=({0: torch.export.Dim('batch')},))
    other = frames(B=5)
    return max(far(flat(program.module()(x)), flat(m(x))), far(flat(program.module()(other)), flat(m(other)))), 2e-6

def functional(name):
    m,x = make(name),frames()
    other = make(name)
    swapped = functional_call(m, dict(other.named_parameters()) | dict(other.named_buffers()), (x,))
    return equal(swapped, other(x)) and not equal(swapped, m(x))

def func_grad(name):
    m,x = make(name).double(),frames(dtype=torch.float64)
    ps = dict(m.named_parameters())
    g = grad(lambda ps: functional_call(m, ps, (x,))[0].square().sum())(ps)
    ref = torch.autograd.grad(m(x)[0].square().sum(), list(ps.values()))
    return far(g.values(), ref), 1e-10

def per_sample(name):
    "`vmap` of `grad`: one gradient for each sequence"
    m,x = make(name).double(),frames(dtype=torch.float64)
    ps = dict(m.named_parameters())
    loss = lambda ps,x: functional_call(m, ps, (x[None],))[0].square().sum()
    g = vmap(grad(loss), (None,0))(ps, x)
    ref = [torch.stack(gs) for gs in zip(*(torch.autograd.grad(loss(ps, s), list(ps.values())) for s in x))]
    return far(g.values(), ref), 1e-10

def tangents(name):
    "Forward-mode derivatives against reverse-mode ones"
    m,x = make(name).double(),frames(dtype=torch.float64)
    v,f = torch.randn_like(x),lambda x: m(x)[0].square().sum()
    _,jv = torch.func.jvp(f, (x,), (v,))
    return (jv - (torch.func.grad(f)(x)*v).sum()).abs().item(), 1e-8

def remade(name):
    torch.manual_seed(3); a = make(name, recurrent_dropout=.3, dropout=.3 if name in ('two layers','bidirectional') else 0.).train(); x = frames(); ya = a(x); ga = grads(a, x)
    torch.manual_seed(3); b = make(name, recurrent_dropout=.3, dropout=.3 if name in ('two layers','bidirectional') else 0.).train(); x = frames(); yb = b(x); gb = grads(b, x)
    return equal(ya, yb) and far(ga, gb)==0

def deterministic(name):
    try:
        torch.use_deterministic_algorithms(True)
        m,x = make(name),frames()
        return all(equal(m(x), m(x)) and far(grads(m, x), grads(m, x))==0 for _ in range(3))
    finally: torch.use_deterministic_algorithms(False)

def threads(name):
    "Eight threads share one layer, each with frames of its own, forward and backward"
    m,xs = make(name),[frames().requires_grad_() for _ in range(8)]
    ref,found = [(flat(m(x)), grads(m, x)) for x in xs],[[] for _ in xs]
    def work(i):
        for _ in range(5): found[i].append((flat(m(xs[i])), grads(m, xs[i])))
    ts = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in ts: t.start()
    for t in ts: t.join()
    return all(len(f)==5 for f in found) and max(max(far(a, b) for a,b in zip(got, want)) for f,want in zip(found, ref) for got in f)==0

def modes(name):
    m,x = make(name),frames()
    ref = m(x)
    with torch.no_grad(): a = m(x)
    with torch.inference_mode(): b = m(x)
    return max(far(flat(a), flat(ref)), far(flat(b), flat(ref))), 2e-6

def learns(name):
    m = make(name).train()
    torch.autograd.backward(m(frames())[0].square().sum())
    return all(p.grad is not None and p.grad.any() for p in m.parameters())

def hooks(name):
    "Hooks, `register_full_backward_hook` and `parametrize` see the cell's weights"
    m,x,seen = make(name),frames(),[]
    m.register_forward_hook(lambda *a: seen.append(1))
    m(x)
    torch.nn.utils.parametrizations.weight_norm(m.cells[0], 'weight_hh')
    out = m(x)[0]; out.sum().backward()
    return len(seen)==2 and m.cells[0].parametrizations.weight_hh.original0.grad is not None

def rows():
    torch.manual_seed(0)
    yield each('`device` and `dtype` in the constructor: float64, bfloat16, float16, meta', 'all parameters and the output have them', factory)
    yield each('`torch.set_default_dtype(float64)`', 'all parameters and the output have it', default_dtype)
    yield each('`to(dtype)`, `to("meta")`, `to_empty`, and loading into a layer made on meta', 'the same outputs', moves)
    yield each('`state_dict`, saved, loaded with `weights_only` and `strict`', 'the same outputs', round_trip)
    yield each('`load_state_dict` with a key too many, too few, of another shape', 'each refused', strict)
    yield each('`copy`, `deepcopy`, `pickle`', 'the same outputs', copies)
    yield each('`deepcopy`, `pickle`, `state_dict` of a layer that carries a state', 'go on from it; not in the `state_dict`', live_copies, [n for n in VARIANTS if n!='bidirectional'])
    yield each('frames with other strides: channels-last, sliced, transposed, expanded', 'values within 2e-6, gradients within 1e-5 of the largest, or of 1', strides)
    yield each('weights in `channels_last`', 'within float32', channels_last)
    yield each('a state in channels-last', 'within float32', state_strides)
    yield each('batch of none, of one, of three', 'each sequence as if alone; none gives none, and zero gradients', batches)
    yield each('one frame', 'output is the last state', one_frame)
    yield each('no frame', 'refused', no_frame)
    yield each('`batch_first=False`', 'the same numbers', time_first)
    yield each('frames, state and weights after a call', 'as before', untouched)
    yield each('`nn.LSTM` on one pixel: 24 combinations of layers, directions, `batch_first`, `bias`', 'values, states and gradients within 1e-10', lambda _: like_lstm(), ['all'])
    yield each("`torch.compile`, backend 'eager', one graph, with gradients and `lengths`", 'within float32', compiled('eager'), ['two layers','bidirectional','batch norm','full peepholes','layer norm'])
    yield each("`torch.compile`, backend 'aot_eager', one graph, with gradients and `lengths`", 'within float32', compiled('aot_eager'), ['two layers','bidirectional'])
    yield each("`torch.compile`, backend 'inductor', one graph, with gradients", 'within float32', inductor, ['plain'])
    yield each('`torch.export` with any batch', 'within float32', exported)
    yield each('`functional_call` with other weights', 'the outputs of those weights', functional)
    yield each('`torch.func.grad`', 'within 1e-10 of autograd', func_grad)
    yield each('`vmap` of `grad`, a gradient for each sequence', 'within 1e-10 of one after the other', per_sample, [n for n in VARIANTS if n!='batch norm'])
    yield each('`torch.func.jvp`', 'within 1e-8 of the reverse', tangents)
    yield each('the same seed twice, with both dropouts', 'bit for bit the same outputs and gradients', remade)
    yield each('`use_deterministic_algorithms`, three times', 'bit for bit the same', deterministic)
    yield each('eight threads with one layer, forward and backward', 'bit for bit as alone', threads, ['two layers','bidirectional','batch norm'])
    yield each('`no_grad` and `inference_mode`', 'within float32', modes)
    yield each('every parameter receives a gradient', 'all', learns)
    yield each('forward hooks, and `weight_norm` on a cell', 'called; its parts learn', hooks)
