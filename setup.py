"Install convlstm_nb with the name, version and requirements that stand in settings.ini."
import re
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

here = Path(__file__).parent
config = ConfigParser(delimiters='=')
config.read(here/'settings.ini', encoding='utf-8')
cfg = config['DEFAULT']
extras = {k.removesuffix('_requirements'): v.split() for k,v in cfg.items() if k.endswith('_requirements')}
site = cfg['doc_host'] + cfg['doc_baseurl']
# the package index has no folder beside the README: pictures and files are in the repository
readme = (here/'README.md').read_text(encoding='utf-8') if (here/'README.md').exists() else ''
readme = re.sub(r'(?<=\]\()(?=nbs/images/)', f"{cfg['git_url']}/raw/v{cfg['version']}/", readme)
readme = re.sub(r'(?<=\]\()(?![a-z]+:|#)', f"{cfg['git_url']}/blob/v{cfg['version']}/", readme)

setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'],
    author=cfg['author'], author_email=cfg['author_email'], url=cfg['git_url'], license='Apache-2.0',
    project_urls={'Documentation': site, 'Changelog': f"{cfg['git_url']}/blob/main/CHANGELOG.md", 'Issues': f"{cfg['git_url']}/issues"},
    long_description=readme, long_description_content_type='text/markdown',
    classifiers=['Development Status :: 4 - Beta', 'Intended Audience :: Science/Research',
                 'Programming Language :: Python :: 3', *(f'Programming Language :: Python :: 3.{n}' for n in (11, 12, 13, 14)),
                 'Topic :: Scientific/Engineering :: Atmospheric Science', 'Topic :: Scientific/Engineering :: Image Processing'],
    packages=find_packages(include=['convlstm_nb', 'convlstm_nb.*']), package_data={'convlstm_nb': ['py.typed', 'data/*', 'weights/*/*']},
    python_requires=f">={cfg['min_python']}", install_requires=cfg['requirements'].split(),
    extras_require=extras,
    entry_points={'console_scripts': cfg['console_scripts'].split(), 'nbdev': [f"{cfg['lib_name']}={cfg['lib_path']}._modidx:d"]},
    zip_safe=False,
)
