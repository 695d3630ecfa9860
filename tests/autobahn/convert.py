"""Turn the Python 2 sdist of autobahntestsuite into a Python 3 package.

usage: convert.py autobahntestsuite-25.10.1.tar.gz DESTDIR

Only what the fuzzing client needs is converted (cases 1-7, 9, 10).
Sources are read as latin-1, so that every Python 2 byte string becomes a str
holding one character per octet; glue.py turns those into bytes, and back, at
the edge to the autobahn library.  fissix does the syntax; the edits below do
the rest, and each must match exactly as often as it says.
"""
import re
import shutil
import sys
import tarfile
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
from fissix import refactor  # lib2to3, which Python 3.13 has no more

TOP = {"_version.py", "caseset.py", "fuzzing.py", "report.py"}
SKIP = {"case12_x_x.py", "case9_9_1.py"}  # compression; unused

# file (None: any) -> (regex, replacement, times; None: any number)
EDITS = [
    (None, r"^import binascii$", "from autobahntestsuite import glue as binascii", None),
    (None, r"\(object, Case, \)", "(Case, )", None),
    ("case/case.py", r"pickle\.dumps\((obj\d)\)", r"\1", 2),
    ("case/case10_1_1.py", r"len\(self\.payload\) / ", "len(self.payload) // ", 1),
    ("case/case6_x_x.py", r"autobahn\.websocket\.utf8validator", "autobahntestsuite.glue", 1),
    ("case/__init__.py", r"^from case(12_x_x|9_9_1) import \*$", "", 2),
    ("case/__init__.py", r"^.*Case1[23]_X_X.*$", "", 4),
    ("report.py", r"^import jinja2$", "", 1),
    ("report.py", r"^REPORT_DIR_PERMISSIONS[\s\S]*", "", 1),
    ("fuzzing.py", r"^import os, json, binascii, time, textwrap, pkg_resources$",
     "import os, json, time, textwrap\nfrom . import glue as binascii", 1),
    ("fuzzing.py", r"import reactor, ssl$", "import reactor", 1),
    ("fuzzing.py", r"ssl\.ClientContextFactory\(\)", "None", 1),
    ("fuzzing.py", r"^class FuzzingProtocol:$",
     "from .glue import GlueProtocol, asciiLogData, octets_to_str\n\n"
     "class FuzzingProtocol(GlueProtocol):", 1),
    ("fuzzing.py", r"''\.join\(payload\)", "b''.join(payload)", 1),
    ("fuzzing.py", r'("localCloseReason": )(self\.localCloseReason)', r"\1octets_to_str(\2)", 1),
    ("fuzzing.py", r"(self\.http_(?:request|response)_data)( if)", r"octets_to_str(\1)\2", 2),
    ("fuzzing.py", r"ll\.encode\('utf8'\)", "ll", 1),
    ("fuzzing.py", r"""\(('         <tr class="stats_row".*?)\)\.encode\("utf-8"\)\)""", r"\1)", 1),
]


def main(sdist, dest):
    package = Path(dest, "autobahntestsuite")
    sources = {}
    with tarfile.open(sdist) as tar:
        for member in tar:
            name = member.name.partition("/")[2].removeprefix("autobahntestsuite/")
            if name in TOP or re.fullmatch(r"case/\w+\.py", name) and name[5:] not in SKIP:
                text = tar.extractfile(member).read().decode("latin-1")
                sources[name] = re.sub(r"^# coding=.*$", "#", text, flags=re.M).replace("\r\n", "\n")
    # fissix looks at the files around to tell local imports, so write them first
    for name, text in sources.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text, "utf-8")
    (package / "__init__.py").write_text("from ._version import __version__\nversion = __version__\n")
    shutil.copy(Path(__file__).with_name("glue.py"), package)

    tool = refactor.RefactoringTool(refactor.get_fixers_from_package("fissix.fixes"))
    for name, text in sources.items():
        text = str(tool.refactor_string(text.rstrip() + "\n", str(package / name)))
        for where, regex, new, times in EDITS:
            if where in (None, name):
                text, n = re.subn(regex, new, text, flags=re.M)
                if times not in (None, n):
                    sys.exit(f"{name}: {regex} matches {n} times, not {times}")
        (package / name).write_text(text, "utf-8")
        compile(text, name, "exec")


if __name__ == "__main__":
    main(*sys.argv[1:])
