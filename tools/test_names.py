"""The names of the package itself: lazy, the same for type checkers, and no name of
`convlstm_nb.all` stands for two things."""
import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

root = Path(__file__).parent.parent
sys.path.insert(0, str(root))
lazy = """import sys, convlstm_nb
heavy = {'torch', 'fastai', 'matplotlib', 'pandas'} & {m.partition('.')[0] for m in sys.modules}
assert not heavy, f'import convlstm_nb imports {heavy}'
from convlstm_nb import ConvLSTM
heavy = {'fastai', 'matplotlib', 'pandas'} & {m.partition('.')[0] for m in sys.modules}
assert not heavy, f'from convlstm_nb import ConvLSTM imports {heavy}'"""
subprocess.run([sys.executable, '-c', lazy], check=True, cwd=root)
# where only the layer was installed, one line says what is absent
alone = """import sys
sys.modules |= dict(fastai=None, numpy=None)
sys.argv[0] = 'convlstm_train'
import convlstm_nb
try: convlstm_nb.convlstm_learner
except ImportError as e: assert '`convlstm_learner` needs' in str(e), e
else: assert False, 'no error'
try: import convlstm_nb.cli
except SystemExit as e: assert 'convlstm_train: only the layer is here' in str(e), e
else: assert False, 'no error'"""
subprocess.run([sys.executable, '-W', 'ignore', '-c', alone], check=True, cwd=root)

import convlstm_nb

tree = ast.parse((root/'convlstm_nb'/'__init__.py').read_text())
checked = {
    a.name: node.module for o in tree.body if isinstance(o, ast.If) for node in o.body
    for a in node.names}
assert checked == convlstm_nb._HOMES, set(checked.items()) ^ set(
    convlstm_nb._HOMES.items())
for name in convlstm_nb.__all__:
    assert getattr(convlstm_nb, name).__name__ == name, name
assert set(convlstm_nb.__all__) <= set(dir(convlstm_nb))
try: convlstm_nb.absent
except AttributeError as e: assert "'absent'" in str(e)
else: raise AssertionError('an absent name is not noticed')

modules = [
    node.module
    for node in ast.parse((root / 'convlstm_nb' / 'all.py').read_text()).body
    if isinstance(node, ast.ImportFrom)]
homes, clashes = {}, []
for m in modules:
    module = import_module(f'convlstm_nb.{m}')
    for name in module.__all__:
        if name in homes and homes[name][1] is not getattr(module, name):
            clashes.append(f'{name}: {homes[name][0]} and {m}')
        homes.setdefault(name, (m, getattr(module, name)))
assert not clashes, clashes
missing = set(convlstm_nb.__all__) - homes.keys()
assert not missing, f'not in convlstm_nb.all: {missing}'
print(f'{len(convlstm_nb.__all__)} lazy names, {len(homes)} in convlstm_nb.all')
