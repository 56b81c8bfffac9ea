"""`tools/visible.py` runs what a page shows and nothing else: a page that hides an
import fails, and the error names the cell and the line."""
import json
import tempfile
from pathlib import Path
from visible import check, visible

def notebook(*cells):
    return {
        'cells': [dict(cell_type='code', source=c, outputs=[]) for c in cells],
        'metadata': {}, 'nbformat': 4, 'nbformat_minor': 5}

def errors(*cells, slow=False):
    "What is said of a page of these cells"
    with tempfile.TemporaryDirectory() as d:
        page = Path(d)/'page.ipynb'
        page.write_text(json.dumps(notebook(*cells)))
        return check(page, slow)

use = 'x = 1\n\nmath.pi'
assert not errors('import math', use)
for hidden in ('#| hide', '#|hide', '# | hide_input', '#| echo: false',
    '#| include: false', '#| export', '#| exporti', '#| export models.here'):
    said = errors(f'{hidden}\nimport math', use)
    assert said.startswith('cell 1, line 3: NameError') and 'math.pi' in said, said
for shown in ('#| code-fold: true', '#| eval: false', '#| fig-cap: "hide"'):
    assert not errors(f'{shown}\nimport math', use), shown

# What is no code of the page
assert not errors('!exit 1\n%matplotlib inline\nx = 1', '%%bash\nexit 1')
assert not errors('show_doc(missing,\n    title_level=3)')
assert not errors('import nbdev; nbdev.nbdev_export()')
assert [c for _, c in visible(notebook('!ls\nx = 1'))] == ['\nx = 1']

# Cells marked slow are for --slow
assert not errors('#| slow\n1/0') and 'ZeroDivisionError' in errors('#| slow\n1/0', slow=True)

# Errors where the code is wrong, deep in a call, or ends the process
assert errors('x = 1', 'x = (').startswith('cell 1, line 1: SyntaxError')
assert errors('def f(): return 1/0', 'f()').startswith('cell 1, line 1: ZeroDivisionError')
assert errors('import os', 'os._exit(3)')
# In the page's own folder
assert not errors("from pathlib import Path", "assert Path('page.ipynb').exists()")
print('visible.py runs what a page shows')
