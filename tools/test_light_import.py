"""`from convlstm_nb import ConvLSTM` imports little more than `import torch` does: no
fastai, no NumPy tools, no Triton. (Measured on two cores, that is 2 % of processor time
more; Triton alone would be 8 %.)"""
import subprocess
import sys

code = '''
import sys, torch
before = {m.split('.')[0] for m in sys.modules}
from convlstm_nb import ConvLSTM
more = {m.split('.')[0] for m in sys.modules} - before - set(sys.stdlib_module_names)
print(*sorted(more))'''

def brings(code):
    "The packages that `code` imports, beside torch's and Python's own"
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], check=True, capture_output=True,
        text=True)
    return set(done.stdout.split())

found = brings(code)
assert found <= {'convlstm_nb', 'fastcore'}, found
assert 'triton' in brings(code + "\nimport triton; print('triton')")
print('the layer brings', *sorted(found))
