"""Classic mistakes of ConvLSTM code, planted one at a time in a copy of the library: the ordinary tests must catch each.

A mistake is pieces of source text and what stands there instead, in the notebook (whose own cells are run) and in the
module that it exports (which the other notebooks import); some are made on two pages at once. A text that is not found exactly once is a failure, so the list
cannot fall behind the code. Before any of them, the copy must pass as it is."""
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import traceback
import types
from importlib import import_module
from pathlib import Path

root = Path(__file__).parents[2]

# What the mistake is; the page that it is made in; each text, and what stands there instead (for more than one page, by page);
# the pages whose tests are run, if others
MISTAKES = [
    ('gates in the order i,f,o,g', '02_cell', {'i,f,g,o = z.chunk(4, dim)': 'i,f,o,g = z.chunk(4, dim)'}),
    ('input and forget gate swapped', '02_cell', {'i,f,g,o = z.chunk(4, dim)': 'f,i,g,o = z.chunk(4, dim)'}),
    ('the output gate peeks at the old memory', '02_cell',
        {'    c = f*c + i*(g if drop is None else g*drop)\n    if co is not None: o = o + co*c\n': '    if co is not None: o = o + co*c\n    c = f*c + i*(g if drop is None else g*drop)\n'}),
    ('no peephole in the forget gate', '02_cell', {'i,f = i + ci*c, f + cf*c': 'i,f = i + ci*c, f'}),
    ('no peephole in the output gate', '02_cell', {'if co is not None: o = o + co*c': 'if co is not None: o = o + 0*co*c'}),
    ('peepholes of input and forget gate swapped', '02_cell', {'i,f = i + ci*c, f + cf*c': 'i,f = i + cf*c, f + ci*c'}),
    ('peephole weights that are no parameters, and never learn', '02_cell', {"param(peephole, h, *self.spatial_size)": "torch.zeros(h, *self.spatial_size, **kw) if peephole else None"}),
    ('sigmoid for tanh in the candidate', '02_cell', {'i,f,g = i.sigmoid(),f.sigmoid(),g.tanh()': 'i,f,g = i.sigmoid(),f.sigmoid(),g.sigmoid()'}),
    ('no tanh on the memory before the output', '02_cell', {'h = o*c.tanh()': 'h = o*c'}),
    ('dropout on the memory, and not on what is written', '02_cell', {'c = f*c + i*(g if drop is None else g*drop)': 'c = (f*c + i*g)*(1 if drop is None else drop)'}),
    ('a flipped kernel', '02_cell', {'    kernel_size,dims = tuple(weight.shape[2:]), weight.dim()-2\n': '    weight = weight.flip(*range(2, weight.dim()))\n    kernel_size,dims = tuple(weight.shape[2:]), weight.dim()-2\n'}),
    ('a transposed kernel', '02_cell', {'    kernel_size,dims = tuple(weight.shape[2:]), weight.dim()-2\n': '    if weight.dim()>3: weight = weight.transpose(-1,-2)\n    kernel_size,dims = tuple(weight.shape[2:]), weight.dim()-2\n'}),
    ('the odd pixel of padding at the beginning', '02_cell', {'tuple((n//2, n-n//2) for n in total)': 'tuple((n-n//2, n//2) for n in total)'}),
    ('height padded as much as width should be', '02_cell', {'for p in reversed(pads) for n in p': 'for p in pads for n in p'}),
    ('a dilated state convolution', '02_cell', {'self.bias, None, self.padding_mode)': 'self.bias, self.dilation, self.padding_mode)'}),
    ('zeros around the state whatever the padding mode', '02_cell', {'self.bias, None, self.padding_mode)': "self.bias, None, 'zeros')"}),
    ('the bias added twice', '02_cell', {'same_conv(x, self.weight_ih, None, self.dilation, self.padding_mode)': 'same_conv(x, self.weight_ih, self.bias, self.dilation, self.padding_mode)'}),
    ('the forget bias in the input gate', '02_cell', {'self.bias.chunk(4)[1].fill_': 'self.bias.chunk(4)[0].fill_'}),
    ('one orthogonal matrix for all gates together', '02_cell', {'for w in self.weight_hh.chunk(4): w.copy_(_orthogonal_like(w))': 'self.weight_hh.copy_(_orthogonal_like(self.weight_hh))'}),
    ('a step that forgets the dropout of the state', '02_cell', {'h if drop_h is None else h*drop_h': 'h'}, ['02_cell','04_scan']),

    # the kernels for a GPU, through Triton's interpreter
    ('Triton: the output gate peeks at the old memory', '03_kernels', {'o += _at(co, peep, mask, ACC)*new': 'o += _at(co, peep, mask, ACC)*old'}),
    ('Triton: dropout on the memory, and not on what is written', '03_kernels', {
        'if drop_c is not None: g *= _at(drop_c + b*HID, k, k<HID, ACC)\n        new = tl.sigmoid(f)*old + tl.sigmoid(i)*g': 'new = tl.sigmoid(f)*old + tl.sigmoid(i)*g\n        if drop_c is not None: new *= _at(drop_c + b*HID, k, k<HID, ACC)'}),
    ('Triton: the dropout of the first sequence in all of them', '03_kernels', {'hid *= _at(drop_h + b*HID, k, k<HID, ACC)': 'hid *= _at(drop_h, k, k<HID, ACC)'}),
    ('Triton: a finished sequence whose output runs on', '03_kernels', {'hid = tl.where(runs, hid, _at(h, pixel, mask, ACC))': 'pass'}),
    ('Triton: rows past the last pixel are not masked', '03_kernels', {
        'mask = (p < P) & (k < HID)\n        at, pixel, peep = p*4*HID + k, row*HID + p*HID + k, p*HID*FULL + k\n        _, _, _, _, i,': 'mask = (p < P+1) & (k < HID)\n        at, pixel, peep = p*4*HID + k, row*HID + p*HID + k, p*HID*FULL + k\n        _, _, _, _, i,'}),
    ('Triton: moments of a group that count rows past the last pixel', '03_kernels', {'d = tl.where(mask, _at(z, p*4*HID + k, mask, ACC) - first, 0)': 'd = _at(z, p*4*HID + k, mask, ACC) - first'}),
    ('Triton: all gates normalised with the moments of the first', '03_kernels', {'group = gate if GROUPS==4 else 0': 'group = 0'}),
    ('Triton: a variance that forgets the mean', '03_kernels', {'tl.sqrt(square - mean*mean + 1e-5)': 'tl.sqrt(square + 1e-5)'}),
    ('Triton backwards: no gradient from the output gate\'s peephole to the memory', '03_kernels', {'if peeps: d += do*wco': 'pass'}),
    ('Triton backwards: no gradient from the other peepholes to the memory', '03_kernels', {'if peeps: d += di*wci + df*wcf': 'pass'}),
    ('Triton backwards: no gradient through the forget gate\'s peephole', '03_kernels', {'d += di*wci + df*wcf': 'd += di*wci'}),
    ('Triton backwards: the output gate\'s peephole learns from the old memory', '03_kernels', {
        'mask, di*old, df*old, do*new, HID)': 'mask, di*old, df*old, do*old, HID)', 'po += tl.sum(do*new, 0)': 'po += tl.sum(do*old, 0)'}),
    ('Triton backwards: the gradient of a finished sequence\'s memory is lost', '03_kernels', {
        'passed = tl.where(runs, 0, d)': 'passed = tl.zeros_like(d)'}),
    ('Triton backwards: the gradient of a finished sequence\'s output is lost', '03_kernels', {'tl.store(hold + pixel, tl.where(runs, 0, dh), mask=mask)': 'tl.store(hold + pixel, 0*dh, mask=mask)'}),
    ('Triton backwards: frames past an end have gradients', '03_kernels', {
        'dh, d = tl.where(runs, dh, 0), tl.where(runs, d, 0)': 'dh, d = dh, d'}),
    ('Triton backwards: the dropout of the state is forgotten', '03_kernels', {'if drop_h is not None: dh *= _at(drop_h + b*HID, k, k<HID, ACC)': 'pass'}),
    ('Triton backwards: the two sums that correct for the norm swapped', '03_kernels', {'- s1 - u*s2)': '- s2 - u*s1)'}),
    ('Triton backwards: a norm that counts its own mean and deviation as constants', '03_kernels', {'rstd*(_at(dz, to, mask, ACC) - s1 - u*s2)': 'rstd*_at(dz, to, mask, ACC)'}),
    ('Triton backwards: two blocks of channels write their sums to one place', '03_kernels', {'part*blocks + tl.program_id(1)': 'part*blocks'}),
    ('Triton backwards: parameters learn from one step alone', '03_kernels', {'tl.store(at, tl.load(at, mask=mask, other=0) + value, mask=mask)': 'tl.store(at, value, mask=mask)'}, ['03_kernels','04_scan']),

    # the gates as programs of PyTorch's operators
    ('traced gates backwards: the gradient that a finished sequence holds is forgotten', '02a_gates', {
        '_plus(_plus(dout, _times(dslot, params.drop_h)), hold)': '_plus(dout, _times(dslot, params.drop_h))'}, ['03_kernels']),
    ('traced gates backwards: the dropout of the state is forgotten', '02a_gates', {'_plus(dout, _times(dslot, params.drop_h))': '_plus(dout, dslot)'}, ['03_kernels']),
    ('traced gates backwards: peepholes and norms that never learn', '02a_gates', {'changed = params.replace(**dict(zip(trained, args[len(state):])))': 'changed = params'}, ['03_kernels']),
    ('traced gates: one program for images of all sizes, with a peephole for each pixel too', '02a_gates', {'exact = ci is not None and ci.shape[1] > 1': 'exact = False'}, ['03_kernels']),
    ('traced gates: the gradient of what was normalised taken for that of what the convolution made', '02a_gates', {'    _add_up(self.grads, new)\n    return _to_rows(d_z)': '    _add_up(self.grads, new)\n    return d_u'}, ['03_kernels']),
    ('traced gates backwards: peepholes learn from one step alone', '02a_gates', {'total[k] = total[k]+g if k in total else g': 'total[k] = g'}, ['03_kernels','04_scan']),
    ('compiled gates: the tanh of a small number loses its digits', '02a_gates', {'torch.where(s < .04, series, 2*(2*y).sigmoid() - 1)': '(2*(2*y).sigmoid() - 1)'}),
    ('compiled gates: a compiler that fails stops the training', '02a_gates', {
        'self.f = self.plain\n            return self.f(*args)': 'raise'}, ['03_kernels']),
    ('compiled gates for small scans, and not for large ones', '03_kernels', {'like.numel()*steps >= _COMPILE_FROM': 'like.numel()*steps < _COMPILE_FROM'}),

    # the scan
    ('a state that the next step does not get, in both forms of the scan', '04_scan', {
        '04_scan': {"            state = new if valid is None else _keep_valid(new, state, valid[:,t])\n            outs.append(state[0])": "            outs.append((new if valid is None else _keep_valid(new, state, valid[:,t]))[0])"},
        '03a_steps': {"        z = self.conv(seen[j])\n        if self.zx": "        self.put_state(seen[j], h)\n        z = self.conv(seen[j])\n        if self.zx",
        "        c = self.gates.forward(z, c, h, self.valid[k], new, slot)\n        h = new\n        cs.append(c)": "        new_c = self.gates.forward(z, c, h, self.valid[k], new, slot)\n        cs.append(new_c)"}}, ['04_scan']),
    ('the backward direction off by one: 0, T-1, T-2, …', '04_scan', {'lambda t: t.flip(1) if reverse and t is not None else t': 'lambda t: t.flip(1).roll(1, 1) if reverse and t is not None else t'}),
    ('the backward direction forwards', '04_scan', {'lambda t: t.flip(1) if reverse and t is not None else t': 'lambda t: t'}),
    ('outputs in the order of the steps, not of the frames', '04_scan', {'    out = turn(out)\n': ''}),
    ('a finished sequence whose state runs on, in both forms', '04_scan', {
        '04_scan': {'return tuple(torch.where(valid, n, o) for n,o in zip(new, old))': 'return new'},
        '02a_gates': {'return torch.where(valid, new_h, h),torch.where(valid, new_c, c)': 'return new_h,new_c'}}),
    ('outputs past an end that are not blank', '04_scan', {'    if valid is not None: out = torch.where(_over(valid, out), out, 0)\n': ''}),
    ('frames past an end that are read', '04_scan', {'    if valid is not None: x = x.masked_fill(~_over(valid, x), 0)\n': ''}),
    ('lengths that stay in the order of the frames where steps run backwards', '04_scan', {'frames,real = turn(x),turn(valid)': 'frames,real = turn(x),valid'}),
    ('batch norm over the padding too', '04_scan', {'cell.prepare(x[valid]))': 'cell.prepare(x.flatten(0,1)).unflatten(0, x.shape[:2])[valid])'}),
    ('fast form: the dilated kernel taken for a dense one', '04_scan', {' and set(cell.dilation)=={1}': ''}),
    ('fast form: the frames of each group but the first are missing', '03a_steps', {'if j==0: self.put_frames(seen[:part[-1]+1-k], k)': 'if k==part[0]: self.put_frames(seen[:part[-1]+1-k], k)'}, ['04_scan']),
    ('fast form backwards: the gradient of `h` is not carried to the step before', '03a_steps', {'dslot = self.input_grad(dz, turned[:n])': 'dslot = 0*self.input_grad(dz, turned[:n])'}, ['04_scan']),
    ('fast form backwards: the gradient of the memory is not carried to the step before', '03a_steps', {'dz,dc,hold = self.gates.backward(': 'dz,_,hold = self.gates.backward('}, ['04_scan']),
    ('fast form backwards: the gradient of a finished sequence is not carried to the step before', '03a_steps', {'dz,dc,hold = self.gates.backward(': 'dz,dc,_ = self.gates.backward('}, ['04_scan']),
    ('fast form backwards: the last state has no gradient', '04_scan', {'states[n:], *grads, needs)': 'states[n:], grads[0], None, None, needs)'}),
    ('fast form backwards: the kernel is not turned around', '03a_steps', {'self.weight.transpose(0, 1).flip(*dims)': 'self.weight.transpose(0, 1)'}, ['04_scan']),
    ('fast form backwards: the last group of steps is missing in the gradient of the weights', '03a_steps', {
        'return self.weight_grad(dz, seen, total)': 'return self.weight_grad(dz if k else 0*dz, seen, total)'}, ['04_scan']),
    ('fast form backwards: the gradient of the weights is that of one group of steps', '03a_steps', {'    if total is None: return new\n': '    return new\n'}, ['04_scan']),
    ('fast form backwards: weights learn from the state after a step, not before', '03a_steps', {
        'self.put_state(seen[0], out[k-1] if k else self.h)\n    self.put_state(seen[1:], out[k:k+count-1])': 'self.put_state(seen, out[k:k+count])'}, ['04_scan']),
    ('fast form backwards: a group of steps begins one step late', '03a_steps', {'i,j = k-part[0],k % self.group': 'i,j = k-part[0],(k-1) % self.group if k else 0'}, ['04_scan']),
    ('fast form backwards: the last step of a group is missing', '03a_steps', {'return room[:min(self.group, self.steps-k)]': 'return room[:max(min(self.group, self.steps-k)-1, 1)]'}, ['04_scan']),
    ('fast form backwards: a segment is computed again from one frame too early', '03a_steps', {'self.run_again(part, before(part[0]), c[p])': 'self.run_again(part, before(max(part[0]-1, 0)), c[p])'}, ['04_scan']),
    ('fast form backwards: a segment is computed again from the memory of another', '03a_steps', {'self.run_again(part, before(part[0]), c[p])': 'self.run_again(part, before(part[0]), c[max(p-1, 0)])'}, ['04_scan']),
    ('fast form backwards: the dropout of the state is forgotten', '03a_steps', {'if self.drop_h is not None: dslot = dslot*self.drop_h': 'pass'}, ['04_scan']),
    ('fast form backwards: the weights of a step with dropout learn from the state without', '03a_steps', {'seen[...,:self.n].copy_(h if self.drop_h is None else h*self.drop_h)': 'seen[...,:self.n].copy_(h)'}, ['04_scan']),
    ('fast form backwards: what was padded around the border has no gradient', '03a_steps', {'d = d.new_zeros(shape).index_add(axis, index, d)': 'd = d.narrow(axis, k//2, s)'}, ['04_scan']),
    ('fast form backwards: the gradients of groups of steps added in bfloat16', '03a_steps', {'g.to(exact) if w': 'g if w'}, ['04_scan']),
    ('fast form: the memory of the step before is returned as the last', '04_scan', {'steps.image(cs[-1]).clone()': 'steps.image(cs[max(len(cs)-2, 0)]).clone()'}),
    ('fast form: everything is kept, whatever `checkpoint_every`', '04_scan', {"for t in (x,h,c))": "for t in (x,h,c))\n    every = 0"}),
    ('loop: everything is kept, whatever `checkpoint_every`', '04_scan', {'if len(parts)==1: hs,state = run(part, state)': 'if True: hs,state = run(part, state)'}),
    ('loop: a part that runs again draws other random numbers', '04_scan', {'use_reentrant=False)': 'use_reentrant=False, preserve_rng_state=False)'}),
    ('a last state that is a view of the output', '04_scan', {'steps.image(out[-1]).to(h.dtype, copy=True)': 'steps.image(out[-1]).to(h.dtype)'}),
    ('a last state that is a view of the output, one frame without gradients', '04_scan', {'out.to(h.dtype, copy=True),new_c': 'out.to(h.dtype),new_c'}),
    ('a last state that is the memory kept for the backward pass', '04_scan', {'steps.image(cs[-1]).clone()': 'steps.image(cs[-1])'}),
    ('one frame without gradients: the dropout of the state is forgotten', '04_scan', {'h.shape[2:],h if drop_h is None else h*drop_h': 'h.shape[2:],h'}),
    ('one frame without gradients: the dropout on what is written is forgotten', '04_scan', {'ci, cf, co, None, drop_c, groups)': 'ci, cf, co, None, None, groups)'}),
    ('one frame without gradients: a finished sequence that runs on', '04_scan', {'z, c, old_h, valid, out': 'z, c, old_h, None, out'}),
    ('one frame without gradients: zeros around the image, whatever the padding mode', '04_scan', {'None if own else bias, None, padding_mode)': "None if own else bias, None, 'zeros')"}),
    ('one frame without gradients: a frame that is read apart is forgotten', '04_scan', {'    if zx is not None: z = z + zx[:,0]\n': ''}),
    ('one frame without gradients: an output that is not in the precision of autocast', '04_scan', {'torch.empty_like(c, dtype=dtype)': 'torch.empty_like(c)'}),
    ('a second derivative that takes the first for a constant', '04_scan', {'create_graph=create, allow_unused=True)': 'allow_unused=True)'}),
    ('a second derivative that forgets the lengths', '04_scan', {'[range(steps)], *args[_N_TRAINED:_N_TENSORS])': '[range(steps)], None, *args[_N_TRAINED+1:_N_TENSORS])'}),
    ('a second derivative that swaps the two dropouts', '04_scan', {'[range(steps)], *args[_N_TRAINED:_N_TENSORS])': '[range(steps)], args[_N_TRAINED], *args[_N_TRAINED+1:_N_TENSORS][::-1])'}),
    ('a second derivative without the norm', '04_scan', {'norm={g:k for k,g in GROUPS.items()}.get(groups)': 'norm=None'}),
    ('a second derivative with zeros around the image, whatever the padding mode', '04_scan', {'weight_co=co, padding_mode=padding_mode,': "weight_co=co, padding_mode='zeros',"}),
    ('gradients with a graph that count an input twice, where another was made from it', '04_scan', {'None if t is None else t.view_as(t) for t in args[:_N_TRAINED]': 't for t in args[:_N_TRAINED]'}),
    ('batched gradients that are not noticed', '04_scan', {' or any(map(_is_batched, grads))': ''}),
    ('forward-mode derivatives that are zero', '04_scan', {"    if forward_ad._current_level >= 0: return 'forward-mode derivatives are asked for'\n": ''}),
    ('transforms of `torch.func` that are not noticed', '04_scan', {"    if torch._C._are_functorch_transforms_active():\n        return 'a transform of `torch.func` is active'\n": ''}),
    ('autocast that is not noticed', '04_scan', {'return torch.get_autocast_dtype(device) if lower else w.dtype': 'return w.dtype'}),
    ('autocast that takes float64 for float32', '04_scan', {'if w.dtype==torch.float64 or not torch.amp': 'if not torch.amp'}),
    ('hooks that are ignored', '04_scan', {'return hooked or compiled or': 'return compiled or'}),
    ('hooks before the call that are ignored, such as the mask of pruning', '04_scan', {"_HOOKS = '_forward_pre_hooks','_forward_hooks'": "_HOOKS = '_forward_hooks'"}),
    ('hooks on every module that are ignored', '04_scan', {"getattr(cell, h) or getattr(everywhere, f'_global{h}') for h": 'getattr(cell, h) for h'}),
    ('a cell that is compiled by itself, and never called', '04_scan', {'return hooked or compiled or': 'return hooked or'}),
    ('methods of an instance that are ignored', '04_scan', {'return inherited and method not in vars(cell)': 'return inherited'}),
    ('methods of a subclass that are ignored', '04_scan', {'return inherited and method not in vars(cell)': 'return method not in vars(cell)'}),
    ('a batch norm that a cell with hooks applies twice', '04_scan', {"options['prepared'] = True": 'pass'}),
    ('dropout that a cell with hooks does not get', '04_scan', {'if custom: return cell(frame, state, **options)': "if custom: return cell(frame, state, **{k: v for k,v in options.items() if k=='prepared'})"}),
    ('tensors with operators of their own that are not noticed', '04_scan', {'if any(type(t).__torch_dispatch__ is not plain for': 'if False and any(type(t).__torch_dispatch__ is not plain for'}),
    ('the operator for compilers in an exported program', '04_scan', {'if torch.jit.is_tracing() or torch.compiler.is_exporting():': 'if False:'}),
    ('a compiled program that keeps everything, whatever `checkpoint_every`', '04_scan', {'torch.ops.convlstm_nb.scan(*args, keep)': 'torch.ops.convlstm_nb.scan(*args[:17], 0, *args[18:], keep)'}),
    ('a compiled program without the norm', '04_scan', {'torch.ops.convlstm_nb.scan(*args, keep)': 'torch.ops.convlstm_nb.scan(*args[:14], 0, *args[15:], keep)'}),
    ('a compiled program that forgets the lengths', '04_scan', {'torch.ops.convlstm_nb.scan(*args, keep)': 'torch.ops.convlstm_nb.scan(*args[:11], None, *args[12:], keep)'}),
    ('the operator for compilers: what it keeps has another shape than it says', '04_scan', {'kept = [h.new_empty(B, P, 4*n, dtype=dtype)': 'kept = [h.new_empty(B, P, 3*n, dtype=dtype)'}),
    ('the operator for compilers: memories in another number than it says', '04_scan', {'steps if keep_all else len(_parts(steps, every))': 'steps if keep_all else steps//(every or steps)'}),
    ('the operator for compilers: a last state in another layout than it says', '04_scan', {'t.new_empty(B, *size, n).movedim(-1, 1) for t in (h,c)': 't.new_empty(B, n, *size) for t in (h,c)'}),
    ('half of the floating-point operations of the gradient', '04_scan', {'return 2*_flops(': 'return _flops('}),

    ('a carried state that keeps its graph', '05_layers', {'[(h.detach().clone(),c.detach().clone()) for h,c in state]': '[(h.clone(),c.clone()) for h,c in state]'}),
    ('a carried state that shares its memory with what was returned', '05_layers', {'[(h.detach().clone(),c.detach().clone()) for h,c in state]': '[(h.detach(),c.detach()) for h,c in state]'}),
    ('a reset that forgets the output and keeps the memory', '05_layers', {'(clear(h), clear(c))': '(clear(h), c)'}),
    ('every layer starts from the state of the first', '05_layers', {'state[len(last)+d]': 'state[d]'}),
    ('the last layer alone gives its state back', '05_layers', {'return (outputs if return_all_layers else outputs[-1]), last': 'return (outputs if return_all_layers else outputs[-1]), last[-self.directions:]'}),
    ('lengths off by one', '05_layers', {'.lt(lengths[:,None])': '.le(lengths[:,None])'}),
    ('a new dropout mask at every frame', '05_layers', {'x*channel_mask(x[:,0], self.dropout)[:,None]': 'x*channel_mask(x.flatten(0,1), self.dropout).unflatten(0, x.shape[:2])'}),
    ('one mask for both parts of recurrent dropout', '05_layers', {'dict(drop_h=channel_mask(h, p), drop_c=channel_mask(h, p))': "dict.fromkeys(['drop_h','drop_c'], channel_mask(h, p))"}),
    ('dropout in `eval` too', '05_layers', {'if not (self.dropout and self.training): return x': 'if not self.dropout: return x'}),
    ('dropout on the frames themselves', '05_layers', {'if l: x = self.drop_channels(x)': 'x = self.drop_channels(x)'}),
    ('the backward channels first', '05_layers', {'torch.cat([out for out,_ in runs], 2)': 'torch.cat([out for out,_ in runs[::-1]], 2)'}),
    ('`batch_first=False` that still returns the batch first', '05_layers', {'if not self.batch_first: outputs =': 'if False: outputs ='}),
    ('the forecaster begins from nothing', '10_models.forecaster', {', state, steps=horizon': ', [(h*0,c*0) for h,c in state], steps=horizon'}),
    ('a scaling per pixel taken from the corner, whatever the piece', '32_data.windows', {'self.scaling.at(*place)(x)': 'self.scaling.at(*(slice(0, n) for n in x.shape[-2:]))(x)'}, ['38_data.scaling']),
    ('the missing share of the frames between those of a window', '32_data.windows', {'[:,::ds.step]': '[:,:ds.context+ds.horizon]'}),
    ('a gap in time past the frames of a window, if it took each', '32_data.windows', {'run[start + ds.span - 1]': 'run[start + ds.context + ds.horizon - 1]'}),
    ('`fill` compared after scaling', '31_data.records', {'x[raw==f] = np.nan': 'x[x==f] = np.nan'}),
    ('images of 16 bits divided by 255', '35_data.formats', {'1 / 65535': '1 / 255'}),
    ('the reference time of a forecast at the first known frame', '31_data.records', {'((), last[0], named(': '((), record.times[0], named('}),
    ('accumulated batches weighed by their rows, whatever is missing', '41_callbacks', {'return loss*(pixels/(len(target)*self.row_pixels))': 'return loss'}),
    ('all losses of a sum weighed by the pixels of the first in the pieces of a batch', '41_callbacks', {'return (losses*(pixels/self.pixels)).sum()': 'return (losses*(pixels/self.pixels)[0]).sum()'}),
    ('a gradient scaler that begins anew where a training is resumed', '44_resume', {"if state['scaler']: learn.scaler.load_state_dict(state['scaler'])": 'pass'}),
    ('a read-out that sees one patch further than it says', '14_models.tiling', {"read = model.frames.reach if model.readout == 'conv' else 0": 'read = 0'}),
    ('the read-out of two convolutions is one', '10_models.forecaster', {"conv(hidden_channels, width), nn.SiLU(), conv(width, out_channels))": 'conv(hidden_channels, out_channels))'}),
    ('a batch made at once holds one sequence again and again', '33_data.moving_mnist', {'_random_numbers(ds, k) for k in (': '_random_numbers(ds, 0) for k in ('}),
    ("a subclass's own items are passed over where batches are made at once", '40_dataloaders', {"        if '__getitem__' in vars(cls): return None\n": ''}),
    ('forecasts without their output function', '10_models.forecaster', {'OUTPUTS[self.output](self(x, horizon': '(self(x, horizon'}),
    ('the first look at a motion between frames that are far apart', '12_models.lagrangian', {'phase_shift(*_pairs(x, 1), subpixel=True, whiten=0)': 'phase_shift(*_pairs(x, T//2), subpixel=True, whiten=0)/(T//2)'}),
    ('advection by the middle and the last frame alone', '22_baselines', {'    speed = phase_shift(seen[:,:-1], seen[:,1:], subpixel)\n': '    speed = torch.zeros(len(x), 2, dtype=dtype)\n'}),
    ('thresholds that are asked for where the one before was not reached', '24_probabilities', {'torch.ones_like(happened[:,:,:1]), happened[:,:,:-1]': 'torch.ones_like(happened[:,:,:1]), torch.ones_like(happened[:,:,:-1])'}),
    ('probabilities of thresholds that may cross', '10_models.forecaster', {'y.sigmoid().cumprod(-3)': 'y.sigmoid()'}, ['24_probabilities']),
    ('missing pixels counted as dry in the Brier score', '24_probabilities', {'p,happened = p*seen,': 'p,happened = p,'}),
    ('equal probabilities counted as told apart in the ROC area', '24_probabilities', {'below + no/2': 'below + no'}),
    ('a sharp forecast whose likeliest pixels are the driest', '24_probabilities', {'argsort(-1, descending=True)': 'argsort(-1)'}),
    ('the median at a chance of a third', '24_probabilities', {'torch.full_like(p[:,:,:1], .5)': 'torch.full_like(p[:,:,:1], .33)'}),
    ('a pixel of a forecast file that was never seen, filled in silence', '52_experiment', {'y = torch.where(seen, y, torch.nan)': 'pass'}),
    ('unseen air that stays where it was while the rain moves', '12_models.lagrangian', {"return moved_each(each, ways, 'zeros') > .5": 'return each > .5'}, ['52_experiment']),
    ('events of one file as one sequence', '37_data.splits', {"runs = r.runs() if by == 'sequence' else [(0, len(r))]": 'runs = [(0, len(r))]'}),
    ('the thresholds of a run compared with scaled values', '52a_probabilistic', {"self.parts['train'].scaling(at - slack_of(at)).flatten()": 'at.flatten()'}),
    ('frequencies of missing pixels, too', '21a_rain', {'/size.clamp(min=1)*seen).long()': '/size.clamp(min=1)*values.shape[-1]).long()'}),
    ('probabilities as sure far ahead as near', '12_models.lagrangian', {'(2*self.spread*lead**.5)': '(2*self.spread)'}),
    ('a first guess of probabilities that is sharp far ahead', '12_models.lagrangian', {'_SMEAR*lead)': '_SMEAR)'}),
    ('unseen pixels that a first guess of probabilities takes for dry', '12_models.lagrangian', {'_blurred(seen*sign,': '_blurred(sign,'}),
    ('a frequency bias that is the better the higher', '21_metrics', {'math.inf else abs(best - means[n])': 'math.inf or best == 1 else abs(best - means[n])'}),
    ('the place of a pixel in 16 bits', '12_models.lagrangian', {'    exact = torch.promote_types(frame.dtype, torch.float32)\n': '    exact = frame.dtype\n'}),
    ('a model saved with the recipe of another', '43_checkpoint', {'if d := difference(weights, spec) or _other_options(model, spec):': 'if d := difference(weights, spec):'}),
    ('resumed with another loss of the same name', '44_resume', {"str(i): told(l) | dict(factor=w, weight=told(getattr(l, 'weight', None)))": "str(i): {'name': named(l)}"}),
    ('state carried from one shuffled batch to the next', '41_callbacks', {"        elif getattr(self.dls.train, 'shuffle', False): reset_state(self.model)": '        else: pass'}),
    ('targets out of range in a later batch', '41_callbacks', {'        if self.yb and not self.done: _check_reach(self.loss_func, self.y)': '        if self.yb and not self.done: _check_reach(self.loss_func, self.y)\n        self.done = True'}),
    ('a loss with the thresholds of another model', '42_learner', {'if None not in thresholds and thresholds[0] != thresholds[1]:': 'if False:'}),
    ('a forecast of a channel that is named like an axis', '31_data.records', {'if len(set(names)) < len(names) or taken & set(names):': 'if len(set(names)) < len(names):'}),
    ('bytes given to a model of values', '52_experiment', {"    if bool(config['stored']) != bool(record.stored()):": '    if False:'}),
    ('a stream of a model in 16 bits that scales in them', '62_streaming', {'        x = self.scaling(x)\n': '        x = self.scaling(x.to(w))\n'}),
    ('images in the order of their names, whatever their dates', '35_data.formats', {'    return _by_date(files)': '    return files'}),
    ('a pixel at its threshold that counts as below', '20_losses', {'        at   = at - 1e-4*at.abs() # a value that was scaled and back may be just below\n': ''}),
]
PAGES = sorted({p for m in MISTAKES for p in (m[3] if len(m)>3 else [m[1]])})

def by_page(name, edits):
    "The edits of each page that a mistake is made in"
    return edits if all(isinstance(e, dict) for e in edits.values()) else {name: edits}

def module(name):
    "Where the notebook `name` exports to, relative to the root"
    return Path('convlstm_nb')/re.search(r'#\| default_exp (\S+)', text(root, name)).group(1).replace('.', '/')

def text(where, name): return '\n'.join(''.join(c['source']) for c in json.loads((where/f'nbs/{name}.ipynb').read_text())['cells'])

def copy_to(where):
    "The library, its settings and the pages that are run"
    shutil.copytree(root/'convlstm_nb', where/'convlstm_nb', ignore=shutil.ignore_patterns('__pycache__'))
    (where/'nbs').mkdir()
    for f in ('settings.ini','pyproject.toml'): shutil.copy(root/f, where/f)
    for p in {*PAGES, *(p for m in MISTAKES for p in by_page(*m[1:3]))}: shutil.copy(root/f'nbs/{p}.ipynb', where/'nbs')
    for f in ('benchmarks/results','nbs/checkpoints'): shutil.copytree(root/f, where/f)

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

def leave_out(where, name, text):
    "Leave out the cells of a page that have `text`"
    page = where/f'nbs/{name}.ipynb'
    nb = json.loads(page.read_text())
    page.write_text(json.dumps(nb | dict(cells=[c for c in nb['cells'] if text not in ''.join(c['source'])])))

def load():
    "Import what most pages do, once for all processes that are forked from this one"
    os.environ |= dict(OMP_NUM_THREADS='1', KERAS_BACKEND='torch', MPLBACKEND='agg', PYTHONDONTWRITEBYTECODE='1')
    sys.dont_write_bytecode = True
    for name in ('nbdev.test', 'fastai.basics', 'h5netcdf', 'matplotlib.pyplot', 'pandas', 'xarray'): import_module(name)
    for name in [m for m in sys.modules if m.partition('.')[0]=='convlstm_nb']: del sys.modules[name] # nbdev finds it by its entry point

def fork(f, *args):
    "Call `f` in a new process; its id, and the file that what it returns is written to, as JSON"
    out = tempfile.TemporaryFile('w+')
    sys.stdout.flush()
    if pid := os.fork(): return pid,out
    try: out.write(json.dumps(f(*args))); out.flush()
    except BaseException: traceback.print_exc()
    finally: os._exit(0)

def forked(f, items):
    "`f` of each item, in a process of its own, as many at once as there are cores; in order"
    running,found,items = {},{},list(items)
    for i in range(len(items)):
        while i not in found:
            at = len(running) + len(found)
            if at < len(items) and len(running) < (os.cpu_count() or 1):
                pid,out = fork(f, items[at])
                running[pid] = at,out
                continue
            at,out = running.pop(os.wait()[0])
            out.seek(0)
            found[at] = json.load(out)
        yield found[i]

def test_page(where, page):
    "Run the tests of `page` in this process, with the library in `where`"
    for fd,name in [(1,'out'), (2,'err')]: os.dup2(os.open(where/name, os.O_WRONLY|os.O_CREAT|os.O_TRUNC), fd)
    os.chdir(where)
    os.environ['PYTHONPATH'] = str(where)
    sys.path.insert(0, str(where))
    sys.modules['__main__'],sys.argv = types.ModuleType('__main__'),['nbdev_test']
    signal.alarm(900)
    import_module('nbdev.test').nbdev_test(path=f'nbs/{page}.ipynb')
    used = Path(import_module('convlstm_nb').__file__)
    if not used.is_relative_to(where.resolve()): sys.exit(f'\nImportError: {used} is another library')
    return True

def run_tests(where, page):
    "The exception that stops the tests of `page`, or None if they pass"
    pid,out = fork(test_page, where, page)
    if os.waitpid(pid, 0)[1]: return 'no test ran to its end'
    out.seek(0)
    if out.read() == 'true': return None
    plain = re.sub(r'\x1b\[[0-9;]*m', '', (where/'err').read_text())
    errors = [l for l in plain.splitlines() if re.match(r'\w*(Error|Exception)\b', l)]
    return errors[-1][:150].strip(' :=') if errors and 'Tests Failed' in plain else f'no test ran: {plain[-300:]}'

def try_one(mistake, errors):
    "A page that fails without the mistake shows nothing"
    what,name,edits,*pages = mistake
    row = dict(what=what, wanted='caught', got='not caught', passed=False)
    with tempfile.TemporaryDirectory() as d:
        copy_to(Path(d))
        for page,texts in by_page(name, edits).items():
            if amiss := plant(Path(d), page, texts): return row | dict(got=f'not planted: {amiss}')
        for page in (pages[0] if pages else [name]):
            if not what.startswith('Triton'): leave_out(Path(d), page, 'TRITON_INTERPRET') # a slow test of those kernels alone
            if errors[page]: row['got'] = f'page {page} fails without it, too'; continue
            error = run_tests(Path(d), page)
            error = re.sub(r' in /\S+', '', error or '')
            if error: return row | dict(got=f'{"" if error.startswith("no test") else "caught on page "}{page}: {error}', passed=not error.startswith(('no test','NameError','ImportError','SyntaxError','FileNotFoundError')))
    return row

def try_none(page):
    "The error of a page in a copy without a mistake, or None"
    with tempfile.TemporaryDirectory() as d:
        copy_to(Path(d))
        return run_tests(Path(d), page)

def rows():
    load()
    errors = dict(zip(PAGES, forked(try_none, PAGES)))
    failed = [f'{p}: {e}' for p,e in errors.items() if e]
    yield dict(what=f'the copy as it is, pages {", ".join(PAGES)}', wanted='passes, and imports itself', got='; '.join(failed) or 'passes', passed=not failed)
    yield from forked(lambda m: try_one(m, errors), MISTAKES)
