"""Put the descriptions of pictures in the place of pictures that are written out in the
Markdown copies of a site's pages: `python tools/llms.py _docs`"""
import re
import sys
from pathlib import Path

inline = re.compile(r'<img\b[^>]*\bsrc="data:[^>]*>|!\[([^\]]*)\]\(data:[^)]*\)')

def described(m):
    "The alternative text of the picture that `m` matched"
    alt = m[1] or (re.search(r'\balt="([^"]*)"', m[0]) or ('', ''))[1]
    return f'*Picture: {alt}*' if alt else ''

def slim_copies(folder):
    "Describe the pictures in every Markdown copy under `folder`"
    for path in Path(folder).rglob('*.llms.md'):
        text = path.read_text(encoding='utf-8')
        path.write_text(inline.sub(described, text), encoding='utf-8')

if __name__ == '__main__': slim_copies(sys.argv[1])
