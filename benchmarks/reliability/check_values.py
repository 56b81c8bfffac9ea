"Values and gradients against a NumPy loop, Keras, the ONNX reference LSTM and finite differences; and what stays finite."
import contextlib
import io
import json
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from itertools import product
from pathlib import Path
import numpy as np
import torch
from reference import Direction, Stack
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call
from convlstm_nb.cell import ConvLSTMCell
from convlstm_nb.layers import ConvLSTM
from convlstm_nb.models.forecaster import EncoderForecaster, NextFrameForecaster
from convlstm_nb.scan import loop_reason, scan, scan_form

PADDING_MODES = 'zeros', 'reflect', 'replicate', 'circular'

def number(t): return t.nan_to_num(torch.inf).item() # `max` would overlook a NaN

def apart(a, b): return max(number((x.detach()-y.detach()).abs().max()) for x,y in zip(a, b, strict=True))

def apart_of_largest(a, b, terms=None):
    "The largest difference of each pair, as a part of the largest number in it; where `terms` has a tensor, as a part of the largest there"
    sizes = [y if s is None else s for y,s in zip(b, terms or [None]*len(b), strict=True)]
    return max(number((x-y).abs().max()/s.abs().max().clamp(min=1e-12)) for x,y,s in zip(a, b, sizes, strict=True))

def randomise(module, scale=.5):
    "Give biases and peepholes values too, which a new cell has at zero"
    with torch.no_grad():
        for n,p in module.named_parameters():
            if 'bias' in n or 'weight_c' in n: p.add_(torch.randn_like(p)*scale)
    return module

def row(what, wanted, got, passed): return dict(what=what, wanted=wanted, got=got, passed=bool(passed))

OF_LARGEST = 'gradients within 1e-5 of the largest in their tensor; biases and peepholes of a channel, of the largest sum of their terms without the signs'

# --- the NumPy loop ---------------------------------------------------------------------------------------------------
KERNELS = {'3x3':                dict(kernel_size=3),
           '3x5, state 1x3':     dict(kernel_size=(3,5), hidden_kernel_size=(1,3)),
           'even 2x4, state 3x3':dict(kernel_size=(2,4), hidden_kernel_size=3),
           '3x3 dilated by 2':   dict(kernel_size=3, dilation=2),
           'even 4x2 dilated by 1x2': dict(kernel_size=(4,2), hidden_kernel_size=3, dilation=(1,2))}
SIZES = {1:(7,), 2:(5,6), 3:(3,4,3)}

def cases():
    "Every option with every other in two dimensions, and some in one and three"
    for peephole,mode,(kernel,k),bi,lengths in product(['channel','full',None], PADDING_MODES, KERNELS.items(), [False,True], [None,[4,2,1]]):
        yield dict(k, peephole=peephole, padding_mode=mode, bidirectional=bi), lengths, kernel
    for dims,bi,lengths in product([1,3], [False,True], [None,[2,4,3]]): yield dict(spatial_dims=dims, bidirectional=bi), lengths, f'3 in {dims}D'
    yield dict(bias=False), None, '3x3'
    for every,peephole,bi,lengths in product([1,2,4], ['channel','full',None], [False,True], [None,[4,2,1]]):
        for kernel,mode in [('3x3','zeros'), ('even 2x4, state 3x3','zeros'), ('3x3','circular')]:
            yield dict(KERNELS[kernel], checkpoint_every=every, peephole=peephole, padding_mode=mode, bidirectional=bi), lengths, kernel

def inputs(options, lengths):
    "A layer in float32, its frames, its first state, and cotangents for all that it returns"
    size = SIZES[options.get('spatial_dims', 2)]
    if options.get('peephole')=='full': options = dict(options, spatial_size=size)
    m = randomise(ConvLSTM(2, [3,2], **options))
    state = [(torch.randn(3,cell.hidden_channels,*size)*.5, torch.randn(3,cell.hidden_channels,*size)) for l in range(2) for cell in m.at(l)]
    return m, torch.randn(3,4,2,*size), state

def torch_run(m, x, state, lengths, douts, dlast):
    "Outputs, last states and all gradients, as lists of tensors in float64"
    if lengths: # what stands past an end is never read
        x = x.clone()
        for b,n in enumerate(lengths): x[b,n:] = float('nan')
    x,state = x.requires_grad_(),[tuple(s.detach().clone().requires_grad_() for s in pair) for pair in state]
    outs,last = m(x, state, lengths=lengths, return_all_layers=True)
    flat = lambda pairs: [s for pair in pairs for s in pair]
    loss = sum((a*b.to(a)).sum() for a,b in zip([*outs,*flat(last)], [*douts,*flat(dlast)]))
    grads = torch.autograd.grad(loss, [x,*flat(state),*m.parameters()])
    return [o.detach().double() for o in (*outs,*flat(last))], [g.double() for g in grads]

def numpy_run(m, x, state, lengths, douts, dlast):
    "The same from the reference, and for each gradient of a channel's weight what its terms sum up to without their signs, else None"
    arrays = lambda ts: [t.detach().double().numpy() for t in ts]
    cells = lambda l: [Direction({k:p.detach().double().numpy() for k,p in cell.named_parameters()}, cell.dilation, cell.padding_mode, d==1)
                       for d,cell in enumerate(m.at(l))]
    stack = Stack([cells(l) for l in range(m.num_layers)])
    outs,last = stack.forward(x.detach().double().numpy(), [tuple(arrays(s)) for s in state], lengths)
    dx,dstate,dweights = stack.backward(arrays(douts), [tuple(arrays(s)) for s in dlast])
    def by_name(each): # of every layer and direction
        found = {f'{"reverse_" if d else ""}cells.{l}.{k}': g for i,dw in enumerate(each) for l,d in [divmod(i, m.directions)] for k,g in dw.items()}
        return [found.get(n) for n,_ in m.named_parameters()]
    states = [s for pair in dstate for s in pair]
    terms  = [None]*(1+len(states)) + by_name([d.terms for layer in stack.layers for d in layer])
    whole  = lambda arrays: [None if a is None else torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]
    return whole([*outs,*(s for pair in last for s in pair)]),whole([dx,*states,*by_name(dweights)]),whole(terms)

def terms_of(*args): return numpy_run(*args)[2]

def numpy_errors():
    "Label and the four errors of each case"
    for options,lengths,kernel in cases():
        m,x,state = inputs(options, lengths)
        outs,last = m(x, state, return_all_layers=True)
        douts,dlast = [torch.randn_like(o) for o in outs],[tuple(map(torch.randn_like, pair)) for pair in last]
        args = lambda dt: (x.to(dt), [tuple(s.to(dt) for s in pair) for pair in state], lengths, douts, dlast)
        values,grads,terms = numpy_run(m, *args(torch.float32))
        v32,g32 = torch_run(m, *args(torch.float32))
        v64,g64 = torch_run(m.double(), *args(torch.float64))
        label = dict(kernel=kernel, peephole=options.get('peephole', 'channel'), padding=options.get('padding_mode', 'zeros'), bias=options.get('bias', True),
                     directions=1+options.get('bidirectional', False), lengths='all equal' if lengths is None else 'unequal',
                     checkpoint_every=options.get('checkpoint_every'), form='loop' if loop_reason(m.cells[0]) else 'fast')
        yield label, (apart(v64, values), apart_of_largest(g64, grads), apart(v32, values), apart_of_largest(g32, grads, terms))

def numpy_rows():
    found = list(numpy_errors())
    for key in found[0][0]:
        for value in dict.fromkeys(label[key] for label,_ in found):
            errors = [e for label,e in found if label[key]==value]
            v64,g64,v32,g32 = map(max, zip(*errors))
            yield row(f'NumPy loop, {key}: {value} ({len(errors)} configurations), values and gradients of x, state and weights',
                      f'float64 within 1e-10; float32 values within 2e-6, {OF_LARGEST}',
                      f'float64 {v64:.0e} and {g64:.0e}; float32 {v32:.1e} and {g32:.1e}', v64<=1e-10 and g64<=1e-10 and v32<=2e-6 and g32<=1e-5)

# --- other libraries --------------------------------------------------------------------------------------------------
def keras_apart(keras, bi, kernel, dilation):
    "Values and gradients of one layer of Keras and of ours"
    layer = keras.layers.ConvLSTM2D(4, kernel, padding='same', dilation_rate=dilation, return_sequences=True, dtype='float64')
    if bi: layer = keras.layers.Bidirectional(layer, dtype='float64')
    x = torch.randn(2,5,6,7,3, dtype=torch.float64, requires_grad=True)
    layer.build(x.shape)
    layer.set_weights([np.random.randn(*w.shape)*.3 for w in layer.get_weights()])
    out = layer(x)
    ours = ConvLSTM(3, 4, kernel, hidden_kernel_size=tuple(k|1 for k in kernel), peephole=None, dilation=dilation, bidirectional=bi, dtype=torch.float64)
    wide = lambda w: torch.nn.functional.pad(w, [n for k in reversed(kernel) for n in (1-k%2, 0)]) # an even state kernel pads its end, so the zeros of an odd one stand before it
    theirs = [v.value for v in layer.trainable_variables]
    mine = [w for l in ours.at(0) for w in (l.weight_ih, l.weight_hh, l.bias)]
    with torch.no_grad():
        for i,(a,w) in enumerate(zip(theirs, mine, strict=True)):
            if i%3==2: w.copy_(a); continue # Keras stacks i,f,c,o, which is our order
            k = a.permute(-1,-2,0,1)
            w.copy_(wide(k) if i%3==1 else k)
    mirror = x.detach().movedim(-1,2).requires_grad_()
    got,_ = ours(mirror)
    weight = torch.randn_like(got)
    gt = torch.autograd.grad((out.movedim(-1,2)*weight).sum(), [x,*theirs])
    gm = torch.autograd.grad((got*weight).sum(), [mirror,*mine])
    def brought(i, g): # one of our gradients, as Keras has it
        if i==0: return g.movedim(2,-1)
        if g.dim()==1: return g
        return g[..., -kernel[0]:, -kernel[1]:].permute(2,3,1,0)
    return apart([got], [out.movedim(-1,2)]), apart([brought(i,g) for i,g in enumerate(gm)], gt)

def keras_worker():
    import keras
    keras.utils.set_random_seed(0)
    cases = [(bi,k,d) for bi in (False,True) for k,d in [((3,3),1),((5,3),1),((2,4),1),((3,3),2)]]
    print(json.dumps([keras.__version__, keras.backend.backend(), len(cases), *map(max, zip(*(keras_apart(keras, *c) for c in cases)))]))

def keras_rows():
    what = 'Keras ConvLSTM2D on its torch backend, float64: kernels odd and even, dilated, both directions'
    if not find_spec('keras'): yield row(what, 'within 1e-10', 'skipped: keras is not installed', True); return
    done = subprocess.run([sys.executable, '-c', 'import check_values; check_values.keras_worker()'], cwd=Path(__file__).parent,
                          env=dict(os.environ, KERAS_BACKEND='torch'), capture_output=True, text=True, timeout=900)
    if done.returncode: yield row(what, 'within 1e-10', done.stderr.strip().split('\n')[-1], False); return
    version,backend,n,v,g = json.loads(done.stdout.strip().split('\n')[-1])
    yield row(f'{what} ({n} configurations)', 'values and gradients within 1e-10', f'{v:.0e} and {g:.0e}, Keras {version} on {backend}', v<=1e-10 and g<=1e-10 and backend=='torch')

def onnx_rows():
    what = 'ONNX reference LSTM with peepholes, on images of one pixel, float64, both directions'
    if not find_spec('onnx'): yield row(what, 'within 1e-10', 'skipped: onnx is not installed', True); return
    import onnx
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator
    m,(T,B,n,h) = randomise(ConvLSTM(3, 4, 1, batch_first=False, bidirectional=True, dtype=torch.float64)),(6,2,3,4)
    iofc = lambda w: np.concatenate([w.chunk(4)[g].detach().numpy() for g in (0,3,1,2)]) # from our i,f,g,o
    both = lambda f: np.stack([f(cell) for cell in m.at(0)])
    x,state = torch.randn(T,B,n,1,1, dtype=torch.float64),[tuple(torch.randn(2,B,h,1,1, dtype=torch.float64)) for _ in range(2)]
    feed = dict(X=x[...,0,0].numpy(), W=both(lambda c: iofc(c.weight_ih[...,0,0])), R=both(lambda c: iofc(c.weight_hh[...,0,0])),
                B=both(lambda c: np.concatenate([iofc(c.bias), np.zeros(4*h)])), initial_h=np.stack([s[0][...,0,0].numpy() for s in state]),
                initial_c=np.stack([s[1][...,0,0].numpy() for s in state]), P=both(lambda c: torch.cat([c.weight_ci, c.weight_co, c.weight_cf]).detach().flatten().numpy()))
    node = helper.make_node('LSTM', ['X','W','R','B','','initial_h','initial_c','P'], ['Y','Yh','Yc'], hidden_size=h, direction='bidirectional')
    info = lambda k,a=None: helper.make_tensor_value_info(k, TensorProto.DOUBLE, None if a is None else a.shape)
    graph = helper.make_graph([node], 'lstm', [info(k,a) for k,a in feed.items()], [info(k) for k in ('Y','Yh','Yc')])
    Y,Yh,Yc = map(torch.from_numpy, map(np.ascontiguousarray, ReferenceEvaluator(helper.make_model(graph)).run(None, feed)))
    with torch.no_grad(): out,last = m(x, state)
    pairs = [(out[...,0,0].unflatten(2,(2,h)).transpose(1,2), Y)] + [(s[j][...,0,0], Z[d]) for d,s in enumerate(last) for j,Z in enumerate((Yh,Yc))]
    far = apart(*zip(*pairs))
    yield row(what, 'within 1e-10', f'{far:.0e}, onnx {onnx.__version__}', far<=1e-10)

# --- the library against itself ---------------------------------------------------------------------------------------
def loop(cell, x, state, valid=None, reverse=False, drop_h=None, drop_c=None):
    "One step of the cell after the other"
    outs = {}
    for t in (range(x.shape[1])[::-1] if reverse else range(x.shape[1])):
        new = cell.step(cell.read(cell.prepare(x[:,t])), state, drop_h, drop_c)
        on = torch.ones(len(x), dtype=torch.bool) if valid is None else valid[:,t]
        on = on.view(-1, *[1]*(x.dim()-2))
        state = tuple(torch.where(on, n, o) for n,o in zip(new, state))
        outs[t] = torch.where(on, new[0], 0)
    return torch.stack([outs[t] for t in range(x.shape[1])], 1),state

def loop_errors(training):
    "Values and gradients of `scan`, with and without a graph, against the loop"
    valid,drop = torch.arange(6)[None] < torch.tensor([6,3])[:,None],torch.tensor([0.,2.,2.,0.,2.]).view(1,5,1,1).double().expand(2,5,1,1)
    for peephole,norm,mode,some,reverse,dropped in product(['channel','full',None], [None,'layer','group','batch'], ['zeros','circular'], [False,True], [False,True], [False,True]):
        if norm=='batch' and training: continue # the loop sees one frame at a time
        full = dict(spatial_size=(7,8)) if peephole=='full' else {}
        cell = randomise(ConvLSTMCell(3, 5, peephole=peephole, norm=norm, padding_mode=mode, **full, dtype=torch.float64)).train(training)
        x,h,c = torch.randn(2,6,3,7,8).double().requires_grad_(),*torch.randn(2,2,5,7,8).double().requires_grad_().unbind(0)
        kw = dict(valid=valid if some else None, reverse=reverse, **(dict(drop_h=drop, drop_c=drop.flip(1)) if dropped else {}))
        def run(f):
            out,(h1,c1) = f(cell, x, (h,c), **kw)
            w = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
            return [out,h1,c1], torch.autograd.grad((out*w).sum() + (h1*w[:,0]).sum() + (c1*w[:,1]).sum(), [x,h,c,*cell.parameters()])
        (v,g),(rv,rg) = run(scan),run(loop)
        with torch.no_grad(): plain = scan(cell, x, (h,c), **kw)
        yield apart(v, rv), apart_of_largest(g, rg), apart([plain[0],*plain[1]], rv)

def loop_rows():
    for training in (True, False):
        errors = list(loop_errors(training))
        v,g,p = map(max, zip(*errors))
        yield row(f'`scan` against a call of the cell for each frame, {"training" if training else "eval"} mode ({len(errors)} configurations of peephole, norm, padding, lengths, direction, dropout)',
                  'float64 within 1e-12, and the same without a graph', f'values {v:.0e}, gradients {g:.0e}, without a graph {p:.0e}', max(v,g,p)<=1e-12)

# --- one form against the other ---------------------------------------------------------------------------------------
WAYS = {f'{name}{f", checkpoint_every={n}" if n else ""}{" (all frames)" if n==4 else ""}': (form,n)
        for form,name in dict(eager='eager gates', loop='loop').items() for n in (None,1,2,4) if (form,n)!=('loop',None)}

def form_errors(dtype):
    "By what each way to run a layer differs from the loop that keeps everything: values and gradients, for each case"
    for options,lengths,_ in cases():
        if options.get('padding_mode', 'zeros')!='zeros' or 'checkpoint_every' in options: continue
        m,x,state = inputs(options, lengths)
        m,x,state = m.to(dtype),x.to(dtype),[tuple(s.to(dtype) for s in pair) for pair in state]
        outs,last = m(x, state, return_all_layers=True)
        draw = [torch.randn_like(o) for o in outs],[tuple(map(torch.randn_like, pair)) for pair in last]
        def run(form, every):
            m.checkpoint_every = every
            with scan_form(form): return torch_run(m, x, state, lengths, *draw)
        assert not loop_reason(m.cells[0])
        loop  = run('loop', None)
        terms = terms_of(m, x, state, lengths, *draw) if dtype==torch.float32 else None
        yield [(apart(v, loop[0]), apart_of_largest(g, loop[1], terms)) for v,g in (run(*way) for way in WAYS.values())]

def form_rows():
    for dtype,wanted,most in [(torch.float64,'float64 values and gradients within 1e-12',(1e-12,1e-12)), (torch.float32,f'float32 values within 2e-6, {OF_LARGEST}',(2e-6,1e-5))]:
        found = list(form_errors(dtype))
        for name,errors in zip(WAYS, zip(*found)):
            v,g = map(max, zip(*errors))
            yield row(f'{name}, against the loop that keeps everything ({len(found)} configurations)', wanted, f'{v:.0e} and {g:.0e}', v<=most[0] and g<=most[1])

def compiled_rows():
    "Gates as the compiler makes them"
    what,worst = 'gates that are compiled, against the loop, float32',[]
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter('error') # where nothing can be compiled, the gates run as they are, with a warning
            for peephole,lengths,every in product(['channel',None], [None,[4,2,1]], [None,2]):
                m,x,state = inputs(dict(peephole=peephole, checkpoint_every=every), lengths)
                outs,last = m(x, state, return_all_layers=True)
                args = x, state, lengths, [torch.randn_like(o) for o in outs], [tuple(map(torch.randn_like, pair)) for pair in last]
                with scan_form('compiled'): v,g = torch_run(m, *args)
                with scan_form('loop'): lv,lg = torch_run(m, *args)
                worst.append((apart(v, lv), apart_of_largest(g, lg, terms_of(m, *args))))
    except UserWarning as e: yield row(what, f'values within 2e-6, {OF_LARGEST}', f'skipped: {e}', True); return
    v,g = map(max, zip(*worst))
    yield row(f'{what} ({len(worst)} configurations)', f'values within 2e-6, {OF_LARGEST}', f'{v:.1e} and {g:.1e}', v<=2e-6 and g<=1e-5)

# --- finite differences -----------------------------------------------------------------------------------------------
def checked(m, *xs, call=lambda out: out, **kw):
    "Do the gradients and the second gradients of `m` agree with finite differences?"
    randomise(m)
    names,ps = zip(*m.named_parameters())
    f = lambda *args: call(functional_call(m, dict(zip(names, args[len(xs):])), args[:len(xs)], kw))
    args = [*(x.double().requires_grad_() for x in xs), *(p.detach().clone().requires_grad_() for p in ps)]
    return gradcheck(f, args, fast_mode=True), gradgradcheck(f, args, fast_mode=True)

def gradient_rows():
    first,f64 = (lambda out: out[0]),dict(dtype=torch.float64)
    whole = lambda out: (out[0], *(s for pair in out[1] for s in pair))
    small = dict(kernel_size=3, patch_size=2, output='identity', **f64)
    models = {
        'cell':                 lambda: checked(ConvLSTMCell(2, 2, **f64), torch.randn(2,2,3,3)),
        'cell, full peepholes, even kernel, circular': lambda: checked(ConvLSTMCell(1, 2, 2, hidden_kernel_size=3, peephole='full', spatial_size=(3,3), padding_mode='circular', **f64), torch.randn(1,1,3,3)),
        'stack':                lambda: checked(ConvLSTM(1, [2,1], **f64), torch.randn(1,3,1,3,2), call=whole),
        'stack, checkpoint_every=2': lambda: checked(ConvLSTM(1, [2,1], checkpoint_every=2, **f64), torch.randn(1,3,1,3,2), call=whole),
        'stack, layer norm':    lambda: checked(ConvLSTM(1, [2,1], norm='layer', **f64), torch.randn(1,3,1,3,2), call=whole),
        'bidirectional, lengths': lambda: checked(ConvLSTM(1, [2,1], bidirectional=True, **f64), torch.randn(2,3,1,2,2), call=whole, lengths=[3,2]),
        'without input':        lambda: checked_state(),
        'forecaster':           lambda: checked(EncoderForecaster(1, (2,1), **small), torch.randn(1,2,1,4,4), horizon=2),
        'next-frame forecaster':lambda: checked(NextFrameForecaster(1, (2,1), **small), torch.randn(1,2,1,4,4), horizon=2),
    }
    for name,check in models.items():
        try: first,second = check()
        except Exception as e: first = second = f'{type(e).__name__}: {str(e).strip().splitlines()[0]}'
        yield row(f'gradcheck and gradgradcheck, {name}', 'both pass', f'first {first}, second {second}', first is True and second is True)

def checked_state():
    "The same for a layer that runs on from a state"
    m = randomise(ConvLSTM(0, 2, dtype=torch.float64))
    names,ps = zip(*m.named_parameters())
    f = lambda h,c,*ps: functional_call(m, dict(zip(names,ps)), (None,[(h,c)]), dict(steps=3))[0]
    args = [torch.randn(1,2,2,2).double().requires_grad_() for _ in range(2)] + [p.detach().clone().requires_grad_() for p in ps]
    return gradcheck(f, args), gradgradcheck(f, args, fast_mode=True)

# --- long sequences and small number formats --------------------------------------------------------------------------
def finite(ts): return all(bool(t.isfinite().all()) for t in ts)

def norm_of(m): return torch.stack([p.grad.double().norm() for p in m.parameters()]).norm().item()

def long_rows():
    m = ConvLSTM(1, [8,8])
    with torch.no_grad():
        for p in m.parameters(): p.mul_(6)
    out,state = m(torch.randn(2,200,1,8,8))
    out.square().sum().backward()
    before = norm_of(m)
    yield row('200 frames, every weight six times its initial value', 'outputs, states and gradients finite', f'largest |c| {max(c.abs().max().item() for _,c in state):.0f}, norm of the gradient {before:.1e}',
              finite([out,*(s for pair in state for s in pair),*(p.grad for p in m.parameters())]))
    nn.utils.clip_grad_norm_(m.parameters(), 1.)
    after = norm_of(m)
    yield row('the norm of that gradient after `clip_grad_norm_` to 1', '1 within 1e-5', f'{after:.6f}', abs(after-1)<1e-5)
    norms = learner_norms(clip=.01)
    yield row('the norms of the gradient at the steps of a Learner made with `clip=0.01`', '0.01 within 1e-6 at each', f'{min(norms):.7f} to {max(norms):.7f} at {len(norms)} steps', len(norms)==4 and max(abs(n-.01) for n in norms)<1e-6)

def learner_norms(clip):
    from fastai.callback.core import Callback
    from fastai.callback.training import GradientClip
    from fastai.data.core import DataLoaders
    from torch.utils.data import DataLoader, TensorDataset
    from convlstm_nb.learner import convlstm_learner
    class Norms(Callback):
        order = GradientClip.order + 1
        def before_fit(self): self.seen = []
        def before_step(self): self.seen.append(norm_of(self.model))
    data = DataLoader(TensorDataset(torch.rand(8,3,1,8,8), torch.rand(8,2,1,8,8)), 2)
    learn = convlstm_learner(DataLoaders(data, data), hidden_channels=(4,), kernel_size=3, clip=clip, cbs=[Norms()])
    with learn.no_bar(), learn.no_logging(): learn.fit(1)
    return learn.norms.seen

def precision_rows():
    x = torch.rand(2,60,1,16,16)
    for name,dt in [('float16',torch.float16),('bfloat16',torch.bfloat16)]:
        for how in ('weights', 'autocast'):
            torch.manual_seed(0)
            m = ConvLSTM(1, [8,4])
            ref = m(x)[0].detach()
            if how=='weights': out,state = m.to(dt)(x.to(dt))
            else:
                with torch.autocast('cpu', dtype=dt): out,state = m(x)
            out.float().square().mean().backward()
            yield row(f'60 frames in {name}, {"weights and frames" if how=="weights" else "autocast"}', 'outputs, states and gradients finite, values within 0.05',
                      f'within {(out.float()-ref).abs().max():.1e} of float32', finite([out,*(s for pair in state for s in pair),*(p.grad for p in m.parameters())]) and (out.float()-ref).abs().max()<.05)
        torch.manual_seed(0)
        f = EncoderForecaster(1, (8,4), 3, output='identity')
        with torch.no_grad(): ref = f(x[:,:30], 30)
        with torch.autocast('cpu', dtype=dt): y = f(x[:,:30], 30)
        y.float().square().mean().backward()
        yield row(f'forecaster, 30 frames in and 30 out under {name} autocast', 'outputs and gradients finite, values within 0.05', f'within {(y.float()-ref).abs().max():.1e} of float32',
                  finite([y,*(p.grad for p in f.parameters())]) and (y.float()-ref).abs().max()<.05)

def rows():
    for part in (numpy_rows, keras_rows, onnx_rows, loop_rows, form_rows, compiled_rows, gradient_rows, long_rows, precision_rows):
        torch.manual_seed(0)
        yield from part()
