"""Build the site into `_docs` without Quarto and without a network: nbdev's
processed notebooks, rendered by smalldocs."""
import logging
import re
import shutil
import sys
import tempfile
from pathlib import Path
from execnb.nbio import read_nb, write_nb
from fastcore.script import call_parse
from fontTools import subset
from llms import slim_copies
from nbdev.config import get_config
from nbdev.doclinks import _nbpath2html
from nbdev.quarto import refresh_quarto_yml
from nbdev.serve import proc_nbs
from smalldocs import layout
from smalldocs.config import load
from smalldocs.site import Site

re_font = re.compile(r'@import url\([^)]*\);?')
re_link = re.compile(
    r'(\]\(|href=["\']?|- |href: '
    r')((?:[\w.-]+/)*)\d+[a-zA-Z0-9]*_([\w.-]+\.(?:ipynb|qmd))')
# What Quarto reads and smalldocs need not
ignored = [f'format.html.{o} is ignored' for o in ('html-math-method','grid')]

def plain_name(p):
    """The path `p` without the number that orders the notebooks: `00_cell.ipynb` is
    the page `cell`, as in nbdev's links"""
    return _nbpath2html(p).with_suffix(p.suffix)

def plain_links(s): return re_link.sub(r'\1\2\3', s)

# The events that fastai lets a callback be given as functions: 24 arguments that nobody
# reads
re_events = re.compile(
    r'\n\s*after_create:NoneType=None,.*?after_fit:NoneType=None\n', re.S)

def localize(nb, base):
    """Point the links of `nb`, absolute ones to `base` too, at the pages of this
    very build"""
    for c in nb.cells:
        # The name is given by the file itself here; smalldocs does not read this key
        if c.cell_type == 'raw':
            c.source = re.sub(r'^output-file:.*\n', '', ''.join(c.source), flags=re.M)
        if c.cell_type == 'markdown' and c.source:
            c.source = plain_links(c.source).replace(base, '/')
        for o in c.get('outputs', []):
            d = o.get('data', {})
            if 'text/markdown' in d:
                d['text/markdown'] = re_events.sub(
                    '', plain_links(''.join(d['text/markdown']))).replace(base, '/')
    return nb

def rename_pages(root, nbs, base):
    """Give the pages under `root`, made from `nbs`, their plain names; return
    `{plain: numbered}`"""
    renamed = {}
    for p in sorted(root.rglob('*.ipynb')):
        old = p.relative_to(root)
        if not (nbs/old).exists(): # Left in nbdev's cache by a notebook that is gone
            p.unlink()
            continue
        new = plain_name(old)
        if new in renamed:
            raise SystemExit(
                f'{old} and {renamed[new]} would both be the page {new}: rename one')
        renamed[new] = old
        write_nb(localize(read_nb(p), base), p)
        p.rename(root/new)
    sidebar = root/'sidebar.yml'
    sidebar.write_text(plain_links(sidebar.read_text()))
    return renamed

def finish(page, out, renamed, branch):
    """Load KaTeX from the site itself, and let `page` be edited under the name of
    its notebook"""
    s = page.read_text(encoding='utf-8')
    rel = page.relative_to(out)
    if (out / 'site_libs/katex').exists():
        s = s.replace(layout.KATEX, '../' * (len(rel.parts) - 1) + 'site_libs/katex')
    new = rel.with_suffix('.ipynb')
    if new in renamed:
        s = s.replace(f'{branch}/nbs/{new}', f'{branch}/nbs/{renamed[new]}')
    page.write_text(s, encoding='utf-8')

re_rule = re.compile(r'([^{};]+)\{([^{}]*)\}')
def slim_theme(css, words):
    "Drop from `css` the rules for classes that are not among the `words` of the site"
    def needed(selector):
        return (
            set(
                re.findall(
                    r'\.([A-Za-z_][\w-]*)', re.sub(r':not\([^)]*\)', '', selector)))
            <= words)
    def rule(m):
        if m[1].strip().startswith('@'): return m[0]
        kept = [s for s in re.split(r',(?![^(]*\))', m[1]) if needed(s)]
        return f"{','.join(kept)}{{{m[2]}}}" if kept else ''
    return re.sub(
        r'@media[^{}]*\{\s*\}', '',
        re_rule.sub(rule, re.sub(r'(?s)/\*(?!!).*?\*/', '', css)))

re_icon = re.compile(r'\.(bi-[\w-]+)::before\{content:"\\(f\w+)"\}')
def slim_icons(folder, words, css):
    "Drop from the font in `folder` the icons that no page and no `css` shows"
    sheet,woff = folder/'bootstrap-icons.min.css',folder/'fonts/bootstrap-icons.woff'
    rules = sheet.read_text(encoding='utf-8')
    codes = {code for name, code in re_icon.findall(rules) if name in words} | set(
        re.findall(r'"\\(f\w{3})"', css))
    rules = re_icon.sub(lambda m: m[0] if m[1] in words else '', rules)
    sheet.write_text(
        re.sub(r'url\("[^"]*"\) format\("woff2"\),', '', rules), encoding='utf-8')
    folder.joinpath('fonts/bootstrap-icons.woff2').unlink()
    logging.getLogger('fontTools').setLevel(logging.ERROR)
    opts = subset.Options(flavor='woff')
    font,keep = subset.load_font(woff, opts),subset.Subsetter(opts)
    keep.populate(unicodes=[int(c, 16) for c in codes])
    keep.subset(font)
    subset.save_font(font, woff, opts)

def slim(out):
    """Leave out what no page uses of the themes and of the icons: half of what a
    page would weigh"""
    libs,text = out/'site_libs',lambda p: p.read_text(encoding='utf-8')
    words = set(
        re.findall(
            r'[\w-]+',
            ' '.join(
                map(
                    text,
                    [
                        *out.rglob('*.html'), *libs.glob('*.js'),
                        *libs.glob('bootstrap/*.js')]))))
    for css in libs.glob('themes/*.css'):
        css.write_text(slim_theme(re_font.sub('', text(css)), words), encoding='utf-8')
    slim_icons(libs/'bootstrap-icons', words, text(libs/'smalldocs.css'))

@call_parse
def main(
    # Folder with KaTeX, `dist` of the npm package `katex`; from its CDN if not given
    katex:str='',
    force:bool=False,  # Process every notebook again, changed or not?
):
    "Build the site into `_docs`"
    cfg = get_config()
    katex = Path(katex) if katex else None
    if katex and not (katex / 'katex.min.js').exists():
        sys.exit(
            f'--katex {katex}: no katex.min.js there; give the folder `dist` of the '
            'package')
    refresh_quarto_yml()
    proc = proc_nbs(force=force)
    base = f"{cfg.doc_host}{cfg.doc_baseurl}/"
    with tempfile.TemporaryDirectory() as tmp:
        root = Path(tmp)/'site'
        shutil.copytree(proc, root, ignore=shutil.ignore_patterns('_docs'))
        renamed = rename_pages(root, cfg.nbs_path, base)
        site = Site(load(root))
        n = site.build()
        if katex:
            shutil.copytree(
                katex, site.out / 'site_libs/katex',
                ignore=shutil.ignore_patterns('*.mjs'))
        slim(site.out)
        slim_copies(site.out)
        for page in site.out.rglob('*.html'):
            finish(page, site.out, renamed, cfg.branch)
        shutil.rmtree(cfg.doc_path, ignore_errors=True)
        shutil.move(site.out, cfg.doc_path)
    warnings = [w for w in site.warnings if w not in ignored]
    for w in warnings: print(f'warning: {w}', file=sys.stderr)
    print(f'{n} pages in {cfg.doc_path}')
    if warnings: sys.exit(f'{len(warnings)} warnings')
