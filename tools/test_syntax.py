"""The package calls nothing that runs what a file says: its syntax is read, module
by module."""
import ast
import sys
from pathlib import Path

package = Path(__file__).parent.parent/'convlstm_nb'
banned = {
    'eval', 'exec', 'compile', '__import__', 'os.system', 'os.popen', 'load_learner',
    'SaveModelCallback', 'pickle.load', 'pickle.loads', 'pickle.Unpickler',
    'joblib.load', 'yaml.load', 'yaml.unsafe_load', 'yaml.full_load',
    'pandas.read_pickle', 'torch.hub.load'}
# these have no use that is not banned
modules = {'dill','cloudpickle','shelve','marshal'}
options = {('weights_only',False), ('allow_pickle',True), ('shell',True)}
renamed = {'np':'numpy', 'pd':'pandas'}

def dotted(node):
    "`a.b.c` as text; '' for anything else"
    if isinstance(node, ast.Name): return node.id
    if isinstance(node, ast.Attribute): return f'{dotted(node.value)}.{node.attr}'
    return ''

def imported(tree):
    "What each imported name stands for"
    names = dict(renamed)
    for n in ast.walk(tree):
        if isinstance(n, ast.Import):
            names |= {
                a.asname or a.name.partition('.')[0]: a.name if a.asname
                else a.name.partition('.')[0] for a in n.names}
        if isinstance(n, ast.ImportFrom):
            names |= {a.asname or a.name: f'{n.module}.{a.name}' for a in n.names}
    return names

def is_banned(name):
    "Is `name`, or its last part where the ban gives no module, on the list?"
    return (
        name in banned or name.removeprefix('builtins.') in banned
        or name.rpartition('.')[2] in {'load_learner', 'SaveModelCallback'})

def faults(source):
    "Line and kind of everything that must not be there"
    tree  = ast.parse(source)
    names = imported(tree)
    for n in ast.walk(tree):
        if isinstance(
            n, (ast.Name, ast.Attribute)
        ):  # also where it is not called: it may be handed on
            head, _, tail = dotted(n).partition('.')
            name = names.get(head, head) + (tail and f'.{tail}')
            if is_banned(name):
                yield n.lineno, name
        if isinstance(n, (ast.Import,ast.ImportFrom)):
            for name in (
                [a.name for a in n.names] if isinstance(n, ast.Import)
                else [n.module or '', *(f'{n.module}.{a.name}' for a in n.names)]):
                if name.partition('.')[0] in modules or is_banned(name):
                    yield n.lineno, f'import of {name}'
        if not isinstance(n, ast.Call): continue
        given = {k.arg: k.value for k in n.keywords}
        for option,value in options:
            if option in given and not (
                isinstance(given[option], ast.Constant)
                and given[option].value is (not value)):
                yield n.lineno, f'{option}={ast.unparse(given[option])}'
        head,_,tail = dotted(n.func).partition('.')
        name = names.get(head, head) + (tail and f'.{tail}')
        if name == 'torch.load' and 'weights_only' not in given:
            yield n.lineno, 'torch.load without weights_only=True'
        if name == 'numpy.load' and len(n.args) > 2:
            yield n.lineno, 'numpy.load with allow_pickle by its place'

wanted = '''torch.load(f, weights_only=False)
torch.load(f)
torch.load(f, weights_only=flag)
from torch import load as read; read(f)
np.load(f, allow_pickle=True)
np.load(f, allow_pickle=1)
np.load(f, None, True)
subprocess.run(c, shell=True)
pickle.load(f)
import pickle as p; p.loads(b)
from pickle import loads
map(pickle.loads, bs)
yaml.load(f)
eval(s)
exec(s)
builtins.exec(s)
os.system(c)
from os import system as run; run(c)
import dill
learner.load_learner(f)
from fastai.learner import load_learner
cbs = [SaveModelCallback()]
from fastai.callback.tracker import SaveModelCallback'''.split('\n')
fine = '''torch.load(f, weights_only=True)
np.load(f, allow_pickle=False)
subprocess.run(c, shell=False)
from safetensors.torch import load; load(b)
model.eval()
json.loads(s)
re.compile(s)
torch.compile(f)'''.split('\n')
if missed := [s for s in wanted if not list(faults(s))]:
    sys.exit('not noticed: ' + '; '.join(missed))
if wrong := [s for s in fine if list(faults(s))]:
    sys.exit('noticed without reason: ' + '; '.join(wrong))

paths  = sorted(package.rglob('*.py'))
errors = [
    f'{p.relative_to(package.parent)}, line {line}: {what}' for p in paths
    for line, what in faults(p.read_text(encoding='utf-8'))]
if errors: sys.exit('\n'.join(errors))
print(
    f'the {len(paths)} modules run nothing that a file says; all {len(wanted)} ways to '
    'do so are noticed')
