"""Fail where a cell of a notebook mixes imports with other code: nbdev runs such
cells alone when it makes the site, and most cannot."""
import ast
import json
import sys
from pathlib import Path

nbs = Path(__file__).parent.parent/'nbs'

def mixed(source):
    "Does this cell import and do something else too, without being exported?"
    lines = [l for l in source.splitlines() if not l.startswith(('%','!'))]
    if any(
        l.startswith('#|')
        and {'export', 'exports', 'exporti', 'exec_doc'} & set(l[2:].split())
        or l.replace(' ', '').startswith('#|eval:false')
        for l in lines
    ):
        return False
    if 'nbdev_export()' in source: return False
    nodes = list(ast.walk(ast.parse('\n'.join(lines))))
    return any(isinstance(n, (ast.Import, ast.ImportFrom)) for n in nodes) and any(
        isinstance(n, (ast.Expr, ast.Assign)) for n in nodes)

assert (
    mixed('import os\nprint(1)')
    and mixed('def f():\n    import os\n    return os\nf()')
    and not mixed('import os')
    and not mixed('#| export\nimport os\nx = 1')
)
found = [
    f"{p.relative_to(nbs)}, cell {i}: {''.join(c['source']).splitlines()[0]}"
    for p in sorted(nbs.rglob('*.ipynb'))
    if '_proc' not in p.parts and '.ipynb_checkpoints' not in p.parts
    for i, c in enumerate(json.loads(p.read_text(encoding='utf-8'))['cells'])
    if c['cell_type'] == 'code' and mixed(''.join(c['source']))]
print('\n'.join(found) or 'no cell mixes imports with other code')
sys.exit(bool(found))
