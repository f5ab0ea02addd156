#!/usr/bin/env python3
# Writes src/lib/client_text.h from the client that is put into sandboxes; --check only compares.
import os
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))


def literal(path):
    lines = []
    for line in open(path, encoding="utf-8").read().splitlines():
        # A literal ends where hex digits could be taken for more of an escape: octal ones of three digits cannot.
        out = "".join(c if 32 <= b < 127 and c not in '\\"?' else "\\%03o" % b
                      for b in line.encode("utf-8") for c in [chr(b)])
        lines.append('\t"' + out + '\\n"')
    return "\n".join(lines)


text = """/* Written by test/run/embed.py from src/client. Do not edit. */
/* clang-format off */
#define CLIENT_PYTHON \\
%s
#define CLIENT_NODE \\
%s
/* clang-format on */
""" % tuple(literal("src/client/theazo_sandbox." + x).replace("\n", " \\\n") for x in ("py", "js"))
if "--check" in sys.argv:
    if open("src/lib/client_text.h", encoding="utf-8").read() != text:
        sys.exit("src/lib/client_text.h is not what test/run/embed.py makes of src/client")
else:
    open("src/lib/client_text.h", "w", encoding="utf-8").write(text)
