"""Classic mistakes of ConvLSTM code, planted one at a time in a copy of the library: the ordinary tests must catch each.

A mistake is pieces of source text and what stands there instead, in the notebook (whose own cells are run) and in the
module that it exports (which the other notebooks import). A text that is not found exactly once is a failure, so the list
cannot fall behind the code. Before any of them, the copy must pass as it is."""
import json, os, re, shutil, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

root = Path(__file__).parents[2]

# What the mistake is; the page that it is made in; each text, and what stands there instead; the pages whose tests are run, if others
MISTAKES = [
    ('gates in the order i,f,o,g', '01_cell', {'i,f,g,o = z.chunk(4, dim=1)': 'i,f,o,g = z.chunk(4, dim=1)'}),
    ('input and forget gate swapped', '01_cell', {'i,f,g,o = z.chunk(4, dim=1)': 'f,i,g,o = z.chunk(4, dim=1)'}),
    ('the output gate peeks at the old memory', '01_cell',
        {'    c = f.sigmoid()*c + i.sigmoid()*new\n    if co is not None: o = o + co*c\n': '    if co is not None: o = o + co*c\n    c = f.sigmoid()*c + i.sigmoid()*new\n'}),
    ('no peephole in the forget gate', '01_cell', {'i,f = i + ci*c, f + cf*c': 'i,f = i + ci*c, f'}),
    ('no peephole in the output gate', '01_cell', {'if co is not None: o = o + co*c': 'if co is not None: o = o + 0*co*c'}),
    ('peepholes of input and forget gate swapped', '01_cell', {'i,f = i + ci*c, f + cf*c': 'i,f = i + cf*c, f + ci*c'}),
    ('peephole weights that are no parameters, and never learn', '01_cell', {"param(peephole, h, *self.spatial_size)": "torch.zeros(h, *self.spatial_size, **kw) if peephole else None"}),
    ('sigmoid for tanh in the candidate', '01_cell', {'new = g.tanh() if drop is None else g.tanh()*drop': 'new = g.sigmoid() if drop is None else g.sigmoid()*drop'}),
    ('no tanh on the memory before the output', '01_cell', {'return o.sigmoid()*c.tanh(), c': 'return o.sigmoid()*c, c'}),
    ('a flipped kernel', '01_cell', {'    kernel_size,dims = tuple(weight.shape[2:]), weight.dim()-2\n': '    weight = weight.flip(*range(2, weight.dim()))\n    kernel_size,dims = tuple(weight.shape[2:]), weight.dim()-2\n'}),
    ('a transposed kernel', '01_cell', {'    kernel_size,dims = tuple(weight.shape[2:]), weight.dim()-2\n': '    if weight.dim()>3: weight = weight.transpose(-1,-2)\n    kernel_size,dims = tuple(weight.shape[2:]), weight.dim()-2\n'}),
    ('the odd pixel of padding at the beginning', '01_cell', {'tuple((n//2, n-n//2) for n in total)': 'tuple((n-n//2, n//2) for n in total)'}),
    ('height padded as much as width should be', '01_cell', {'for p in reversed(pads) for n in p': 'for p in pads for n in p'}),
    ('a dilated state convolution', '01_cell', {'self.bias, None, self.padding_mode)': 'self.bias, self.dilation, self.padding_mode)'}),
    ('zeros around the state whatever the padding mode', '01_cell', {'self.bias, None, self.padding_mode)': "self.bias, None, 'zeros')"}),
    ('the bias added twice', '01_cell', {'same_conv(x, self.weight_ih, None, self.dilation, self.padding_mode)': 'same_conv(x, self.weight_ih, self.bias, self.dilation, self.padding_mode)'}),
    ('the forget bias in the input gate', '01_cell', {'self.bias.chunk(4)[1].fill_': 'self.bias.chunk(4)[0].fill_'}),
    ('one orthogonal matrix for all gates together', '01_cell', {'for w in self.weight_hh.chunk(4): w.copy_(_orthogonal_like(w))': 'self.weight_hh.copy_(_orthogonal_like(self.weight_hh))'}),
    ('a state that the next step does not get, in both forms of the scan', '02_scan', {
        "            state = new if valid is None else keep_valid(new, state, valid[:,t])\n            outs.append(state[0])": "            outs.append((new if valid is None else keep_valid(new, state, valid[:,t]))[0])",
        "        h,c = into[t],new\n": ""}),
    ('the backward direction off by one: 0, T-1, T-2, …', '02_scan', {'order = list(range(steps))[::-1 if reverse else 1]': 'order = [-t % steps for t in range(steps)] if reverse else list(range(steps))'}),
    ('the backward direction forwards', '02_scan', {'order = list(range(steps))[::-1 if reverse else 1]': 'order = list(range(steps))'}),
    ('outputs in the order of the steps, not of the frames', '02_scan', {'for t in sorted(outs)], 1)': 'for t in outs], 1)', 'return plan.image(out).transpose(0,1),': 'return plan.image(out[plan.order]).transpose(0,1),'}),
    ('a finished sequence whose state runs on, in both forms', '02_scan', {
        'return tuple(torch.where(valid, n, o) for n,o in zip(new, old))': 'return new',
        'new = torch.where(self.valid[t], new, c)\n            into[t].copy_(torch.where(self.valid[t], into[t], h))': 'pass'}),
    ('batch norm over the padding too', '02_scan', {'cell.prepare(x[valid]))': 'cell.prepare(x.flatten(0,1)).unflatten(0, x.shape[:2])[valid])'}),
    ('fast form: the output gate peeks at the old memory', '02_scan', {'if co is not None: o += co*new': 'if co is not None: o += co*c'}),
    ('fast form: dropout on the memory, and not on what is written', '02_scan', {'else: new += i*(g if drop is None else g*drop)': 'else: new += i*g; new *= 1 if drop is None else drop'}),
    ('fast form: the dilated kernel taken for a dense one', '02_scan', {' and set(cell.dilation)=={1}': ''}),
    ('fast form backwards: no gradient from the output gate\'s peephole to the memory', '02_scan', {'if co is not None: d += do*co': 'pass'}),
    ('fast form backwards: no gradient from the other peepholes to the memory', '02_scan', {'if ci is not None: d += di*ci; d += df*cf': 'pass'}),
    ('fast form backwards: the output gate\'s peephole learns from the old memory', '02_scan', {'zip((di,df,do), (c,c,new), peepholes)': 'zip((di,df,do), (c,c,c), peepholes)'}),
    ('fast form backwards: peepholes learn from one step alone', '02_scan', {'if dpk: dp = dpk if dp is None else [a+b for a,b in zip(dp, dpk)]': 'if dpk: dp = dpk'}),
    ('fast form backwards: the gradient of `h` is not carried to the step before', '02_scan', {'dh,dz = d[...,-n:].to(out.dtype),None': 'dh,dz = 0*d[...,-n:].to(out.dtype),None'}),
    ('fast form backwards: the gradient of the memory is not carried to the step before', '02_scan', {'            dc,dz,dpk = self.gates.backward(': '            _,dz,dpk = self.gates.backward('}),
    ('fast form backwards: the last state has no gradient', '02_scan', {'(dout,dh,dc),ready = grads,self.prepare(*weights)': '(dout,dh,dc),ready = (grads[0],None,None),self.prepare(*weights)'}),
    ('fast form backwards: the kernel is not turned around', '02_scan', {'.transpose(0, 1).flip(*range(2, w.dim())))': '.transpose(0, 1))'}),
    ('fast form backwards: the last group of steps is missing in the gradient of the weights', '02_scan', {'    total.flush()\n': ''}),
    ('fast form backwards: weights learn from the state after a step, not before', '02_scan', {'self.look(seen, x, before(first+k), t)': 'self.look(seen, x, out[t], t)'}),
    ('fast form backwards: a segment is computed again from one frame too early', '02_scan', {'zx, before(first), cs[p], part': 'zx, before(max(first-1, 0)), cs[p], part'}),
    ('fast form backwards: a segment is computed again from the memory of another', '02_scan', {'zx, before(first), cs[p], part': 'zx, before(first), cs[p-1], part'}),
    ('fast form backwards: frames past an end have gradients', '02_scan', {'(dh,held_h),(dc,held_c) = _part(dh, self.valid[t]),_part(dc, self.valid[t])': '(dh,held_h),(dc,held_c) = (dh,0*dh),(dc,None)'}),
    ('fast form backwards: the dropout of the state is forgotten', '02_scan', {'if self.drop_h is not None: dh = dh*self.drop_h': 'pass'}),
    ('fast form: a second derivative that takes the first for a constant', '02_scan', {'create_graph=True, allow_unused=True))': 'allow_unused=True))'}),
    ('compiled gates backwards: no gradient through the forget gate\'s peephole', '02_scan', {'if ci is not None: d = d + di*ci + df*cf': 'if ci is not None: d = d + di*ci'}),
    ('a carried state that keeps its graph', '03_state', {'self.value = detach(state)': 'self.value = list(state)'}, ['03_state','04_layers']),
    ('a reset that forgets the output and keeps the memory', '03_state', {'(clear(h), clear(c))': '(clear(h), c)'}),
    ('every layer starts from the state of the first', '04_layers', {'state[len(last)+d]': 'state[d]'}),
    ('the last layer alone gives its state back', '04_layers', {'return (outputs if return_all_layers else outputs[-1]), last': 'return (outputs if return_all_layers else outputs[-1]), last[-self.directions:]'}),
    ('lengths off by one', '04_layers', {'.lt(lengths[:,None])': '.le(lengths[:,None])'}),
    ('a new dropout mask at every frame', '04_layers', {'x*channel_mask(x[:,0], self.dropout)[:,None]': 'x*channel_mask(x.flatten(0,1), self.dropout).unflatten(0, x.shape[:2])'}),
    ('one mask for both parts of recurrent dropout', '04_layers', {'dict(drop_h=channel_mask(h, p), drop_c=channel_mask(h, p))': "dict.fromkeys(['drop_h','drop_c'], channel_mask(h, p))"}),
    ('dropout in `eval` too', '04_layers', {'if self.dropout and self.training else x': 'if self.dropout else x'}),
    ('dropout on the frames themselves', '04_layers', {'if l: x = self.drop_channels(x)': 'x = self.drop_channels(x)'}),
    ('the backward channels first', '04_layers', {'torch.cat([out for out,_ in runs], 2)': 'torch.cat([out for out,_ in runs[::-1]], 2)'}),
    ('`batch_first=False` that still returns the batch first', '04_layers', {'if not self.batch_first: outputs =': 'if False: outputs ='}),
    ('the forecaster begins from nothing', '10_forecaster', {', state, steps=horizon': ', [(h*0,c*0) for h,c in state], steps=horizon'}),
    ('forecasts without their output function', '10_forecaster', {'OUTPUTS[self.output](self(x, horizon': '(self(x, horizon'}),
]
PAGES = sorted({p for m in MISTAKES for p in (m[3] if len(m)>3 else [m[1]])})

def module(name):
    "Where the notebook `name` exports to, relative to the root"
    return Path('convlstm_nb')/re.search(r'#\| default_exp (\S+)', text(root, name)).group(1).replace('.', '/')

def text(where, name): return '\n'.join(''.join(c['source']) for c in json.loads((where/f'nbs/{name}.ipynb').read_text())['cells'])

def copy_to(where):
    "The library, its settings and the pages that are run"
    shutil.copytree(root/'convlstm_nb', where/'convlstm_nb', ignore=shutil.ignore_patterns('__pycache__'))
    (where/'nbs').mkdir()
    for f in ('settings.ini','pyproject.toml'): shutil.copy(root/f, where/f)
    for p in {*PAGES, *(m[1] for m in MISTAKES)}: shutil.copy(root/f'nbs/{p}.ipynb', where/'nbs')
    shutil.copytree(root/'benchmarks'/'results', where/'benchmarks'/'results')

def plant(where, name, edits):
    "Make the mistake in the notebook and in the module; what is amiss, if it cannot be made"
    page,py = where/f'nbs/{name}.ipynb',(where/module(name)).with_suffix('.py')
    nb,source = json.loads(page.read_text()),py.read_text()
    for old,new in edits.items():
        cells = [c for c in nb['cells'] if old in ''.join(c['source']) and '#| export' in ''.join(c['source'])]
        found = sum(''.join(c['source']).count(old) for c in cells),source.count(old)
        if found != (1,1): return f'{old!r} is there {found[0]} times in the page and {found[1]} in the module'
        cells[0]['source'],source = ''.join(cells[0]['source']).replace(old, new),source.replace(old, new)
    page.write_text(json.dumps(nb))
    py.write_text(source)
    try: compile(source, str(py), 'exec')
    except SyntaxError as e: return f'what is planted is no Python: {e}'

def environment(where): return dict(os.environ, PYTHONPATH=str(where), OMP_NUM_THREADS='1', KERAS_BACKEND='torch', PYTHONDONTWRITEBYTECODE='1')

def run_tests(where, page):
    "The exception that stops the tests of `page`, or None if they pass"
    try: done = subprocess.run([Path(sys.executable).parent/'nbdev_test', '--path', f'nbs/{page}.ipynb'], cwd=where, env=environment(where), capture_output=True, text=True, timeout=900)
    except subprocess.TimeoutExpired as e: return f'no test ran to its end within {e.timeout} s'
    if done.returncode==0: return None
    plain = re.sub(r'\x1b\[[0-9;]*m', '', done.stderr)
    errors = [l for l in plain.splitlines() if re.match(r'\w*(Error|Exception)\b', l)]
    return errors[-1][:150].strip(' :=') if errors and 'Tests Failed' in plain else f'no test ran: {plain[-300:]}'

def try_one(mistake, errors):
    "A page that fails without the mistake shows nothing"
    what,name,edits,*pages = mistake
    row = dict(what=what, wanted='caught', got='not caught', passed=False)
    with tempfile.TemporaryDirectory() as d:
        copy_to(Path(d))
        if amiss := plant(Path(d), name, edits): return row | dict(got=f'not planted: {amiss}')
        for page in (pages[0] if pages else [name]):
            if errors[page]: row['got'] = f'page {page} fails without it, too'; continue
            error = run_tests(Path(d), page)
            error = re.sub(r' in /\S+', '', error or '')
            if error: return row | dict(got=f'{"" if error.startswith("no test") else "caught on page "}{page}: {error}', passed=not error.startswith(('no test','NameError','ImportError','SyntaxError','FileNotFoundError')))
    return row

def try_none(page):
    "The error of a page in a copy without a mistake, or None; a copy that imports another library is one, too"
    with tempfile.TemporaryDirectory() as d:
        copy_to(Path(d))
        where = subprocess.run([sys.executable, '-c', 'import convlstm_nb; print(convlstm_nb.__file__)'], cwd=d, env=environment(d), capture_output=True, text=True).stdout.strip()
        return run_tests(Path(d), page) if Path(where).is_relative_to(Path(d).resolve()) else 'imports another library'

def rows():
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        errors = dict(zip(PAGES, pool.map(try_none, PAGES)))
        failed = [f'{p}: {e}' for p,e in errors.items() if e]
        found  = pool.map(lambda m: try_one(m, errors), MISTAKES)
        yield dict(what=f'the copy as it is, pages {", ".join(PAGES)}', wanted='passes, and imports itself', got='; '.join(failed) or 'passes', passed=not failed)
        yield from found
