"""The sidebar lists every page once, and nothing that is not a page; no two pages have
one title."""
import json
import re
import sys
from collections import Counter
from pathlib import Path
import yaml

nbs = Path(__file__).parent.parent/'nbs'

def entries(o):
    "The pages named in `o`, a part of the sidebar"
    if isinstance(o, str): return [] if o.startswith('https:') else [o]
    if isinstance(o, list): return [p for e in o for p in entries(e)]
    return entries(o.get('href', [])) + entries(o.get('contents', []))

def pages(nbs):
    """The pages that the site is built from: notebooks and Quarto files outside of
    hidden folders"""
    paths = [
        p.relative_to(nbs) for ext in ('ipynb', 'qmd', 'md')
        for p in nbs.rglob(f'*.{ext}')]
    return [p.as_posix() for p in paths if not any(part[0] in '._' for part in p.parts)]

def title(page):
    "The first heading of the notebook `page`"
    cells = json.loads((nbs/page).read_text())['cells']
    text  = '\n'.join(''.join(c['source']) for c in cells if c['cell_type']=='markdown')
    return re.search(r'^# (.*)', text, re.M)[1]

listed = Counter(
    entries(
        yaml.safe_load((nbs / 'sidebar.yml').read_text())['website']['sidebar'][
            'contents']))
there  = set(pages(nbs))
errors = [f'not in nbs/sidebar.yml: {p}'       for p in sorted(there-listed.keys())]
errors += [f'in nbs/sidebar.yml, but no page: {p}' for p in sorted(listed.keys()-there)]
errors += [f'{n} times in nbs/sidebar.yml: {p}'    for p,n in listed.items() if n>1]
titles = Counter(title(p).casefold() for p in there if p.endswith('.ipynb'))
errors += [f'{n} pages have the title {t!r}' for t,n in titles.items() if n>1]
if errors: sys.exit('\n'.join(errors))
print(f'the sidebar lists all {len(there)} pages')
