"Open every page of the built site in Chromium, at desktop and phone width, and report what a reader would stumble over."
import re, shutil, sys, tempfile, threading, time
from base64 import b64decode
from configparser import ConfigParser
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse
from fastcore.script import call_parse
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

widths = {'desktop': 1280, 'phone': 390}
flags = '''--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
           --disable-component-update --disable-sync --hide-scrollbars'''.split()

# What is looked at inside of a page: {kind of problem: [each one found]}, and what the links check needs
probe_js = r'''
const all = s => [...document.querySelectorAll(s)], say = e => e.outerHTML.slice(0, 120)
const skip = 'code, pre, script, style, noscript, textarea, .katex, .sourceCode'
const words = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
for (let n; n = walk.nextNode();) if (!n.parentElement.closest(skip)) words.push(n.textContent)
const grep = re => words.filter(w => re.test(w)).map(w => w.trim().slice(0, 120))

const wide = document.documentElement.clientWidth
const scrolls = e => e && e.tagName!='MAIN' && (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement))
const sticks = all('main *').filter(e => e.getBoundingClientRect().right > wide+1 && !e.closest('.katex') && !scrolls(e.parentElement))
if (!sticks.length && document.documentElement.scrollWidth > wide+1) sticks.push(document.body)

return {
  found: {
    'raw TeX':             grep(/\$\$|\\[()[\]]|\\[a-zA-Z]{2,}|\$[^\s$][^$\n]*[\\_^{=+*/-][^$\n]*\$/),
    'raw Markdown':        grep(/^\s*:::|\]\(|^\s*#\||\*\*\S/),
    'link inside of code': all('pre').map(e => e.textContent.match(/.{0,60}\]\(\/?[\w.\/-]+\.html.{0,20}/)).filter(m => m).map(m => m[0]),
    'equation not set':    all('.math').filter(e => !e.querySelector('.katex, mjx-container')).map(say),
    'equation in error':   all('.katex-error, mjx-merror').map(say),
    'picture missing':     all('img').filter(e => !e.naturalWidth).map(say),
    'picture without alt': all('img').filter(e => !(e.alt || '').trim()).map(say),
    'no heading 1':        all('h1').some(e => e.innerText.trim()) ? [] : [document.title],
    'wider than the page': sticks.slice(0, 3).map(say),
  },
  links: all('a[href]').map(e => e.href),
  sidebar: all('#quarto-sidebar a[href]').map(e => e.href),
  ids: all('[id]').map(e => e.id).concat(all('a[name]').map(e => e.name)),
  height: document.documentElement.scrollHeight,
}'''
ready_js = "return document.readyState=='complete' && [...document.images].every(e => e.complete)"

class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass

def serve(root):
    "Serve the folder `root` from a thread"
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f'http://127.0.0.1:{server.server_port}/'

def browser(profile):
    "Chromium, with a new `profile` folder"
    opts = webdriver.ChromeOptions()
    for f in [*flags, f'--user-data-dir={profile}']: opts.add_argument(f)
    opts.set_capability('goog:loggingPrefs', {'browser':'ALL'})
    opts.binary_location = next(filter(None, map(shutil.which, ['chromium', 'chromium-browser', 'google-chrome'])), None)
    if not opts.binary_location: sys.exit('no Chromium: install the packages chromium and chromium-driver')
    return webdriver.Chrome(options=opts, service=Service(shutil.which('chromedriver')))

def resize(driver, width, height=900):
    "Show the page as on a screen of `width` pixels; a window itself cannot be as narrow as a phone"
    size = dict(width=width, height=height, deviceScaleFactor=1, mobile=width<500)
    driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', size)

def wait(driver, timeout=15):
    "Wait for the pictures, and for the scripts that set the equations"
    end = time.time() + timeout
    while not driver.execute_script(ready_js) and time.time()<end: time.sleep(.05)
    driver.execute_async_script('requestAnimationFrame(() => setTimeout(arguments[0], 50))')

def screenshot(driver, path, width, height):
    "Write the whole page as a picture"
    resize(driver, width, min(height, 16000))
    shot = driver.execute_cdp_cmd('Page.captureScreenshot', {'format':'png'})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b64decode(shot['data']))

def probe(driver, base, page, shots=None):
    "The problems of one `page`, and what it links to"
    problems, res = {}, None
    for name,width in widths.items():
        driver.get_log('browser')
        resize(driver, width)
        driver.get(base + page)
        wait(driver)
        res = driver.execute_script(probe_js)
        logs = [o['message'] for o in driver.get_log('browser') if o['level']=='SEVERE']
        for kind,found in {**res['found'], 'console error':logs}.items():
            for o in found: problems.setdefault((kind,o), []).append(name)
        if shots: screenshot(driver, Path(shots)/f"{page.replace('/','-')[:-5]}-{name}.png", width, res['height'])
    said = [f"{page}: {kind} ({' and '.join(at)}): {o}" for (kind,o),at in problems.items()]
    return said, res

def inner(url, base, site_url):
    "The page and anchor that `url` points at, if it is inside of the site"
    url,anchor = urldefrag(url)
    for b in (base, site_url+'/'):
        if (url+'/').startswith(b):
            path = unquote(urlparse(url[len(b):]).path)
            return (path+'index.html' if path=='' or path.endswith('/') else path), unquote(anchor)

def check_links(root, results, base, site_url):
    "Report the links that lead nowhere, and the pages that the sidebar leaves out"
    problems, ids = [], {}
    def anchors(page):
        if page not in ids:
            known = results.get(page)
            ids[page] = set(known['ids'] if known else re.findall(r'\b(?:id|name)="([^"]+)"', (root/page).read_text(encoding='utf-8')))
        return ids[page]
    for page,res in results.items():
        for url in sorted(set(res['links'])):
            to = inner(url, base, site_url)
            if not to: continue
            path,anchor = to
            if not (root/path).is_file(): problems.append(f'{page}: dead link: {path}')
            elif anchor and path.endswith('.html') and anchor not in anchors(path): problems.append(f'{page}: dead anchor: {path}#{anchor}')
        listed = {inner(u, base, site_url)[0] for u in res['sidebar'] if inner(u, base, site_url)}
        problems += [f'{page}: the sidebar leaves out {p}' for p in sorted(site_pages(root)-listed)]
    return problems

def site_pages(root):
    "The pages under `root` that a reader finds"
    pages = {p.relative_to(root).as_posix() for p in root.rglob('*.html')}
    return {p for p in pages if not p.startswith('site_libs/') and p!='404.html'}

def check(driver, root, site_url, only=None, shots=None):
    "All problems of the site in `root`, or of the pages `only`"
    server,base = serve(root)
    problems,results = [],{}
    try:
        for page in sorted(only or site_pages(root)):
            said,results[page] = probe(driver, base, page, shots)
            problems += said
    finally: server.shutdown()
    return problems + check_links(root, results, base, site_url)

# Each way to break a page, and what has to be reported for it
breaks = {
    '<script>undefinedFunction()</script>':                         'console error',
    '<p>the state \\sigma</p>':                                     'raw TeX',
    '<p>the sum $x+y$ of both</p>':                                 'raw TeX',
    '<p>a \\(z, never closed</p>':                                  'raw TeX',
    '<p>::: {.callout-note}</p>':                                   'raw Markdown',
    '<pre>x, # a [`cell`](/cell.html#cell)</pre>':                  'link inside of code',
    '<span class="math inline">x</span>':                           'equation not set',
    '<span class="katex-error">x</span>':                           'equation in error',
    '<img src="nothing.png" alt="x">':                              'picture missing',
    '<img src="{dot}">':                                            'picture without alt',
    '<a href="nothing.html">x</a>':                                 'dead link',
    '<a href="#no-such-place">x</a>':                               'dead anchor',
    '<div style="width:3000px">x</div>':                            'wider than the page (desktop and phone)',
    '<div style="width:600px">x</div>':                             'wider than the page (phone)',
}
dot = 'data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=='

def unnoticed_breaks(driver, root, site_url):
    "Break a copy of the first page in each way, and return the ways that went unnoticed"
    unnoticed = []
    with tempfile.TemporaryDirectory() as tmp:
        copy = Path(tmp)/'site'
        shutil.copytree(root, copy)
        page = copy/'index.html'
        good = page.read_text(encoding='utf-8')
        def expect(text, what):
            page.write_text(text, encoding='utf-8')
            found = [o for o in check(driver, copy, site_url, ['index.html']) if what in o]
            print(f"{'noticed  ' if found else 'UNNOTICED'}  {what}{': '+found[0][:100] if found else ''}")
            if not found: unnoticed.append(what)
        for html,what in breaks.items(): expect(good.replace('</main>', html.replace('{dot}', dot)+'</main>'), what)
        expect(re.sub(r'(?s)<h1.*?</h1>', '', good), 'no heading 1')
        (copy/'unlisted.html').write_text(good, encoding='utf-8')
        expect(good, 'the sidebar leaves out unlisted.html')
    return unnoticed

@call_parse
def main(
    site:str='',  # Folder of the built site; `_docs` if not given
    screenshots:str='',  # Folder for a picture of each whole page
    self_test:bool=False,  # Check instead that each kind of problem is noticed?
):
    "Check the built site in Chromium"
    top = Path(__file__).parent.parent
    cfg = ConfigParser(delimiters='=')
    cfg.read(top/'settings.ini')
    cfg = cfg['DEFAULT']
    root = Path(site or top/cfg['doc_path']).resolve()
    if not (root/'index.html').exists(): sys.exit(f'no index.html in {root}: build the site first, with python tools/site.py')
    site_url = cfg['doc_host'] + cfg['doc_baseurl']
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver = browser(profile)
        try: problems = unnoticed_breaks(driver, root, site_url) if self_test else check(driver, root, site_url, shots=screenshots)
        finally: driver.quit()
    for o in problems: print(o)
    n = len(site_pages(root))
    if problems: sys.exit(f'{len(problems)} problems in {n} pages')
    print('every kind of problem is noticed' if self_test else f'no problem in {n} pages')
