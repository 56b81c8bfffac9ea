"""Make README.md from nbs/index.ipynb: what a reader of the page sees, with links
that hold outside of the site."""
import posixpath
import re
import sys
from configparser import ConfigParser
from pathlib import Path
from urllib.parse import unquote
import nbformat
from fastcore.script import call_parse
from nbconvert import MarkdownExporter

top = Path(__file__).parent.parent
re_directive = re.compile(r'^#\|[ \t]*(.*?)[ \t]*(?:\n|\Z)', flags=re.M)
re_hide = re.compile(r'(hide|exporti?|default_exp.*|include: *false)')
re_silent = re.compile(r'echo: *false')
re_link = re.compile(r'(\]\(|\b(?:src|href)=")([^)"\s#]+)')
re_page = re.compile(r'((?:[\w-]+/)*)(?:\d+[a-zA-Z0-9]*_)?([\w.-]+)\.(?:ipynb|qmd)')

def is_text(data):
    "Is a cell's output words, and no picture or widget?"
    return data.keys() <= {'text/plain','text/markdown'} and data

def visible(cell):
    """`cell` as a reader sees it, without directives and without the pictures it
    draws; `None` if hidden"""
    if cell.cell_type=='raw': return
    if cell.cell_type=='markdown': return cell
    directives = re_directive.findall(cell.source)
    if any(map(re_hide.fullmatch, directives)): return
    cell.source = (
        '' if any(map(re_silent.fullmatch, directives))
        else re_directive.sub('', cell.source).strip())
    cell.outputs = [
        o for o in cell.outputs
        if o.get('name') == 'stdout' or is_text(o.get('data', {}))]
    return cell if cell.source or cell.outputs else None

def link(url, site):
    """`url` of nbs/index.ipynb, as README.md needs it: a page is on the `site`, a
    file in the repository"""
    if re.match(r'[a-z]+:', url): return url
    page = re_page.fullmatch(url)
    return (
        f'{site}/{page[1]}{page[2].lower()}.html' if page
        else posixpath.normpath(f'nbs/{url}'))

def badges(cfg):
    "Pictures for the repository's page alone, that tell what `cfg` and the tests say"
    tests = f"{cfg['git_url']}/actions/workflows/test.yaml"
    say = lambda text, link: (
        f'[![{unquote(text)}](https://img.shields.io/badge/{text}-blue)]({link})')
    return ' '.join([
        f'[![tests]({tests}/badge.svg)]({tests})',
        say(f"python-{cfg['min_python']}%2B", f"{cfg['git_url']}/blob/main/settings.ini"),
        say('license-Apache%202.0', f"{cfg['git_url']}/blob/main/LICENSE")])

def readme(nb, cfg):
    "The text of README.md for the notebook `nb`"
    site = cfg['doc_host'] + cfg['doc_baseurl']
    nb.cells = [c for c in map(visible, nb.cells) if c]
    nb.metadata.language_info = dict(name='python')
    md,_ = MarkdownExporter().from_notebook_node(nb)
    md = re_link.sub(lambda m: m[1]+link(m[2], site), md)
    md = re.sub(r'[ \t]+$', '', md, flags=re.M)
    md = re.sub(r'```python\s*```\n', '', md) # of a cell that shows its output alone
    md = re.sub(r'\n{3,}', '\n\n', md).strip() + '\n'
    return md.replace('\n\n', f'\n\n{badges(cfg)}\n\n', 1)

@call_parse
def main(
    check:bool=False,  # Write nothing, and fail if README.md is stale?
):
    "Make README.md from nbs/index.ipynb"
    cfg = ConfigParser(delimiters='=')
    cfg.read(top/'settings.ini', encoding='utf-8')
    cfg = cfg['DEFAULT']
    nb = nbformat.read(top/'nbs/index.ipynb', as_version=4)
    new,path = readme(nb, cfg), top/'README.md'
    if not check:
        return print(
            f'{path.name}: {path.write_text(new, encoding="utf-8")} characters')
    if not path.exists() or path.read_text(encoding='utf-8') != new:
        sys.exit('README.md is stale: run python tools/readme.py')
    print('README.md is fresh')
